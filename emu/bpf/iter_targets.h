// SPDX-License-Identifier: Apache-2.0
// The targets of iterator programs as the verifier sees them; emu/iter walks them.
#pragma once

#include <array>
#include <string_view>

#include "emu/base/types.h"

namespace bpfemu {

enum IterFeature : u32 {
  kResched = 1 << 0,      // programs may sleep (kernel: BPF_ITER_RESCHED)
  kSetsSockets = 1 << 1,  // programs may call bpf_setsockopt and bpf_getsockopt (kernel: bpf_iter_tcp_get_func_proto)
};

// A pointer in an iterator's context of which the verifier knows more than its prototype tells. All may be null.
struct IterArgument {
  enum class Kind : u8 { kNone, kObject, kKey, kValue };
  u32 offset = 0;
  Kind kind = Kind::kNone;
  const char* structure = nullptr;  // of an object
};

// One line of emu/abi/iter_targets.inc.
struct IterTarget {
  const char* name;
  u32 features;  // IterFeature
  std::array<IterArgument, 2> arguments;
};

// The one that the BTF function "bpf_iter_<name>" belongs to; null: there is none (kernel: bpf_iter_prog_supported).
const IterTarget* iter_target(std::string_view function);

}  // namespace bpfemu
