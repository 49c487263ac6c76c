// SPDX-License-Identifier: Apache-2.0
// Small programs that use the maps of a sequence.
#pragma once

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

// What a program of a type is like.
struct ProgShape {
  u32 type, attach_type;
  bool yes_or_no;               // what it may return is 0 or 1
  u32 context;                  // bytes of its context for test runs
  std::vector<u16> reads;       // offsets of 4 bytes that it may read
  std::vector<u16> writes;      // and write
  const char* kernel = nullptr;  // a function or type of the kernel's that it is for
  u32 kernel_kind = 0;
};
const std::vector<ProgShape>& prog_shapes();
// The id of shape.kernel; asked once.
u32 kernel_id(const ProgShape& shape);

std::vector<bpf_insn> small_program(Sequence& s, const ProgShape& shape);

}  // namespace bpfemu::fuzz
