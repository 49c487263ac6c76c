// SPDX-License-Identifier: Apache-2.0
// Where kprobes can be (kernel: register_kprobe and the checks of trace_kprobe.c).
#pragma once

#include <string_view>
#include <vector>

#include "emu/base/log.h"
#include "emu/base/result.h"
#include "emu/kernel/kernel_data.h"

namespace bpfemu {

// What an address is to the claimed kernel.
struct KernelPlace {
  std::vector<std::string_view> names;  // of the function: __do_sys_getppid is __x64_sys_getppid; none: outside
  u64 offset = 0;                       // within
  bool in_kernel() const { return !names.empty(); }
  bool at_entry() const { return in_kernel() && offset == 0; }
};
KernelPlace kernel_place(const Symbols& symbols, u64 address);

// Every function that can be traced begins with a nop of this size: the next instruction is behind it.
inline constexpr u64 kEntryNop = 5;

// Can a kprobe, or a kretprobe, be registered at `address`? EINVAL: no code, code that must not be probed, or a
// kretprobe within a function; EILSEQ: no instruction begins there; ENOENT: outside the kernel. The model does not know
// the instructions of functions: places further in are noted as not modelled, with EILSEQ.
Result<void> check_kprobe(const KernelData& kernel, Unmodelled& unmodelled, u64 address, bool on_return);

}  // namespace bpfemu
