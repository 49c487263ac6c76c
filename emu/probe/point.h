// SPDX-License-Identifier: Apache-2.0
// A point: one place in the claimed kernel that events pass and that programs hang on (kernel: a trace_event_call or
// tracepoint with its prog_array, a kprobe, a uprobe consumer). It counts while it exists; Probes fires it.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emu/bpf/program.h"
#include "emu/hook/arguments.h"
#include "emu/hook/hook.h"
#include "emu/ports/host.h"
#include "emu/ports/sites.h"
#include "emu/probe/runner.h"
#include "emu/probe/uprobe_filter.h"

namespace bpfemu {

class Probes;
class Point;
class PerfEvent;
struct Event;
struct DynamicProbe;
struct KernelFunction;
class RecordLayout;

// Which report of the loader concerns a point.
enum class Moment : u8 {
  kNever,  // known to the claimed kernel, reached by nothing that the model sees
  kSyscallEnter,
  kSyscallExit,
  kHook,
  kHookModify,
  kHookModule,
  kHookReturn,
  kSite,        // a user instruction
  kSiteReturn,  // the return of a user function
};

// The order in which every system call passes these in the kernel; exits pass them the other way round. Hooks lie inside.
enum class Depth : u8 { kTracepoint, kDispatch, kHandler };

// A program in its place. The program array of a point keeps attach order.
struct Attachment {
  std::shared_ptr<Program> program;
  u64 cookie = 0;
};

// What a tracepoint calls (kernel: its probe functions): of all trace events there one, of all of `syscalls` together
// one, of each raw tracepoint program its own.
enum class Listener : u8 { kEvents, kSyscallEvents, kRaw };

// Lays out what a program finds behind R1 in `memory` (kContextSize bytes of arena): the address for R1, or null when
// the event does not concern the point after all.
using ContextBuilder = void* (*)(Probes& probes, const Event& event, const Point& point, void* memory);
inline constexpr size_t kContextSize = 4096;

inline constexpr size_t kMaxPrograms = 64;  // kernel: BPF_TRACE_MAX_PROGS

class Point {
 public:
  enum class Probe : u8 { kNone, kKernel, kUser };  // a tracepoint, a kprobe, a uprobe

  // What the line at the end of the run says: "kprobe", "vprintk".
  struct Missing {
    std::string_view kind;
    std::string name;
  };

  struct Where {
    Moment moment = Moment::kNever;
    Depth depth = Depth::kTracepoint;
    SyscallSet syscalls{};  // of the system call moments: the numbers that come by
    Hook hook{};             // of the hooks' moments
    ContextBuilder context = nullptr;
    const KernelFunction* function = nullptr;  // kprobes
    const DynamicProbe* dynamic = nullptr;     // of a place of a dynamic event
    u32 event_id = 0;                          // of a trace event; 0: none
    bool within = false;                       // kprobes: behind the function's entry, where bpf_get_func_ip says 0
    u64 address = 0;                           // kprobes: of the probed instruction; uprobes: filled in at the hit
    Probe probe = Probe::kNone;
    bool on_return = false;         // kretprobe, uretprobe
    u32 record_size = ~0u;          // tracepoints: bytes of context that programs may read
    std::shared_ptr<const RecordLayout> layout{};  // tracepoints
    std::string name{};             // of the event, symbol or file, as queries show it
    Listener listener{};            // tracepoints: as which of them
    std::string_view tracepoint{};  // the kernel's own, of which several events may be made ("sys_enter"); static
    u64 offset = 0;                 // kprobes and uprobes: within symbol or file
    Sites::Id site = 0;
    bool decides = false;       // a hook's, in between: what the program returns is the function's answer
    bool newest_first = false;  // kprobes and uprobes: the handler added last runs first
    // What runs there in the place of the point's own programs, and its answer; empty: those.
    std::function<u64(RunScope& scope, const Event& event, void* context)> runs{};
    u64* hits = nullptr;        // counts what passes, with or without programs (kprobe_profile)
    // Not modelled: the claimed kernel has the place, and the model never passes it.
    std::optional<Missing> missing{};

    // Are the registers that the kernel hands on there the user's? Of tracepoints, only those of syscalls:* are.
    bool in_user() const {
      if (probe != Probe::kNone) return probe == Probe::kUser;
      return name.starts_with("sys_enter_") || name.starts_with("sys_exit_");
    }
  };

  // Registers with `probes` until destroyed.
  Point(Probes& probes, Where where);
  ~Point();
  Point(const Point&) = delete;
  Point& operator=(const Point&) = delete;

  Probes& probes() const { return probes_; }
  const Where& where() const { return where_; }
  const std::vector<Attachment>& programs() const { return programs_; }
  const ProgramNeeds& needs() const { return needs_; }
  bool is_at(Hook hook) const { return where_.moment == Moment::kHook && where_.hook == hook; }
  // Does anybody want to know what passes?
  bool awaited() const;
  // Which arguments of the hook do its programs look at?
  Arguments::Mask looked_at() const;
  // How many points there had been when this one was made.
  u64 serial() const { return serial_; }
  // Or how often something does?
  bool watched() const { return awaited() || where_.hits; }

  // E2BIG: kMaxPrograms hang here already; EEXIST: this one does, with whatever cookie (kernel:
  // perf_event_attach_bpf_prog, bpf_prog_array_copy). EOPNOTSUPP: the place is not modelled, and the program would be
  // noticed.
  Result<void> attach(Attachment attachment);
  // Of somebody who wants to know what passes where the model never does: a line, and ENOENT.
  Result<void> check_modelled() const;
  // Takes away the first place of `program`.
  void detach(const Program& program);

  // Uprobes: a listener, be it an event of the point or the trace buffer, comes for `tid`, -1 for every task, and goes
  // (kernel: uprobe_perf_open). Errors of Sites::apply.
  Result<void> open(const void* listener, pid_t tid, bool inherit);
  void close(const void* listener);
  UprobeFilter filter;

  // The perf events that count here, oldest first. They enter and leave by themselves.
  std::vector<PerfEvent*> events;
  // The trace event that it is or is a place of.
  u32 event_id() const { return whole_ ? whole_->where_.event_id : where_.event_id; }
  // Does the trace buffer record it (tracefs: enable)?
  bool traced() const { return whole_ ? whole_->traced_ : traced_; }
  void set_traced(bool on);

  // Those that count what passes this place: of a dynamic event's place, the event's.
  const std::vector<PerfEvent*>& counters() const { return whole_ ? whole_->events : events; }

  // The places of a dynamic event, by its probes: they run the programs of this point, which is nowhere itself.
  std::map<const DynamicProbe*, std::unique_ptr<Point>> places;
  // One place more, for those who have the event open already. Errors of Sites::apply.
  Result<void> join(const DynamicProbe* probe, std::unique_ptr<Point> place);

 private:
  bool at_site() const;

  Probes& probes_;
  u64 serial_ = 0;
  bool traced_ = false;
  const Point* whole_ = nullptr;  // what this is a place of
  Where where_;
  std::vector<Attachment> programs_;
  ProgramNeeds needs_;  // of all programs together
};

}  // namespace bpfemu
