// SPDX-License-Identifier: Apache-2.0
// From names to points: trace events, raw tracepoints, kernel functions, user functions. What the claimed kernel has
// and the model never fires is noted and answered as if it were not there.
#pragma once

#include <memory>
#include <string_view>

#include "emu/kernel/dynamic_events.h"
#include "emu/kernel/events.h"
#include "emu/hook/functions.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/kprobe_places.h"
#include "emu/kernel/user_file.h"
#include "emu/probe/point.h"

namespace bpfemu {

// The point of a trace event by the id in its tracefs folder; all who ask for one id share it. EINVAL: no such id
// (kernel: perf_trace_init); dynamic events: what their probe gives.
Result<std::shared_ptr<Point>> tracepoint(Probes& probes, u32 id);

// Does the model ever fire it?
bool can_fire(const TraceEvent& event);

// Where a raw tracepoint of this name is: ENOENT.
Result<Point::Where> raw_tracepoint(Probes& probes, std::string_view name);

// A kprobe or kretprobe, by symbol or, without one, by address (kernel: create_local_trace_kprobe). ENOENT: unknown;
// EINVAL: a kretprobe behind the entry; EILSEQ: no instruction starts there.
Result<std::unique_ptr<Point>> kprobe(Probes& probes, std::string_view symbol, u64 address, u64 offset, bool on_return);

// What the model knows of the function at a place, null: nothing.
const KernelFunction* function_at(const KernelPlace& place);
// Puts a point, with `on_return` set, where system calls pass the function.
void put_on_way(Point::Where& where, const KernelFunction& function);

// A uprobe or uretprobe. `path` is what queries show (kernel: create_local_trace_uprobe, __uprobe_register). EINVAL:
// outside of the file, a counter at an odd offset or another one than the place has already; EIO.
struct UserFunction {
  std::string path;
  std::shared_ptr<const UserFile> file;
  u64 offset = 0;
  u64 ref_ctr_offset = 0;
  bool on_return = false;
};
Result<std::unique_ptr<Point>> uprobe(Probes& probes, const UserFunction& function);

}  // namespace bpfemu
