// SPDX-License-Identifier: Apache-2.0
// Attach and link types, as BPF_PROG_ATTACH, BPF_LINK_CREATE and the files that show them see them.
#pragma once

#include <span>

#include "emu/base/result.h"
#include "emu/bpf/capabilities.h"
#include "emu/bpf/program.h"

namespace bpfemu {

// What programs of an attach type hang on. kOther: neither BPF_PROG_ATTACH nor BPF_LINK_CREATE infers the program's type
// from it (kernel: attach_type_to_prog_type).
enum class AttachTo : u8 { kOther, kCgroup, kSockMap, kNetns, kLirc, kTracing, kLsm, kXdp };

// One line of emu/abi/attach_types.inc.
struct AttachType {
  u32 id;
  const char* name;
  u32 since;  // kernel_version() that it came with
  u32 prog_type;
  AttachTo to;
};
// In the order of their ids, from 0.
std::span<const AttachType> attach_types();
// The one that a program's type is inferred from; null: none, or kOther.
const AttachType* attach_type(u32 number);

// May `program` be attached as `number`: EINVAL, EPERM (kernel: bpf_prog_attach_check_attach_type).
Result<void> check_attach_type(const Program& program, u32 number, const Capabilities& caps);
// The same of BPF_LINK_CREATE: programs that hang on perf events take that attach type only, the others their own.
Result<void> check_link_type(const Program& program, u32 number);

// The name of a link type in fdinfo ("link_type:") and bpftool, "<invalid>" for none (kernel: bpf_link_type_strs).
const char* link_type_name(u32 type);

}  // namespace bpfemu
