// SPDX-License-Identifier: Apache-2.0
// What programs find behind R1, one family a file (ctx_*.cc). Each builder is a ContextBuilder: see point.h.
#pragma once

#include "emu/hook/event.h"
#include "emu/probe/point.h"

namespace bpfemu {

// Tracepoint records, at the offsets of the events' formats. The first eight bytes (common_*) no program can read.
void* sys_enter_record(Probes&, const Event&, const Point&, void* memory);  // syscalls:sys_enter_*
void* sys_exit_record(Probes&, const Event&, const Point&, void* memory);   // syscalls:sys_exit_*
void* hook_record(Probes&, const Event&, const Point&, void* memory);
// How many bytes the record at `context` has, texts behind its fields included.
u32 record_bytes(const void* context);

// Raw tracepoints and tp_btf: the tracepoint's arguments, one u64 each.
void* sys_enter_args(Probes&, const Event&, const Point&, void* memory);
void* sys_exit_args(Probes&, const Event&, const Point&, void* memory);
void* hook_args(Probes&, const Event&, const Point&, void* memory);

// struct pt_regs of a kernel function at its entry and at its return.
void* kernel_entry_regs(Probes&, const Event&, const Point&, void* memory);
void* kernel_return_regs(Probes&, const Event&, const Point&, void* memory);
// Arguments of a kernel function, and its result, for programs on trampolines.
void* fentry_args(Probes&, const Event&, const Point&, void* memory);
void* fexit_args(Probes&, const Event&, const Point&, void* memory);
// struct pt_regs of the user function.
void* user_regs(Probes&, const Event&, const Point&, void* memory);

// struct bpf_perf_event_data.
void* perf_event_context(void* memory, const PtRegs* regs, u64 period, u64 addr = 0);

}  // namespace bpfemu
