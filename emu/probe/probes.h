// SPDX-License-Identifier: Apache-2.0
// Where events meet programs. The loader reports what supervised threads do; the registry knows who listens and runs
// the attached programs in attach order.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "emu/abi/pt_regs.h"
#include "emu/hook/sleepers.h"
#include "emu/hook/socket_ops.h"
#include "emu/hook/socket_watch.h"
#include "emu/hook/thread_words.h"
#include "emu/hook/transit.h"
#include "emu/ports/event_sink.h"
#include "emu/ports/host.h"
#include "emu/ports/sites.h"
#include "emu/ports/task.h"
#include "emu/probe/apart_events.h"
#include "emu/probe/perf_sideband.h"
#include "emu/probe/perf_watches.h"
#include "emu/probe/point.h"
#include "emu/probe/runner.h"

namespace bpfemu {

class DynamicEvents;
class EventSwitches;
class EventTracer;
class PerfEvent;
class KernelData;

class Probes : public EventSink, public HookSink {
 public:
  // Everything handed in must outlive the probes.
  struct Parts {
    Arena& arena;
    Host& host;
    Sites& sites;
    Unmodelled& unmodelled;
    const KernelData& kernel;
    DynamicEvents& dynamic_events;
    ObjectSpace& objects;
    Mounts& mounts;
    FileObjects& files;
    SocketOps* socket_ops = nullptr;    // programs of cgroups that TCP asks
    EventSwitches* switches = nullptr;  // tracefs' events/; null: nobody turns them on
    SyscallSet answered{};              // calls that somebody else may have to do with
  };
  Probes(const Parts& parts, Outlets outlets);
  ~Probes() override;

  std::optional<s64> syscall_entered(Task& task, PtRegs& regs, long number) override;
  s64 syscall_exited(Task& task, PtRegs& regs, long number, s64 result) override;
  void task_forked(Task& parent, pid_t child, bool thread) override;
  void task_executed(Task& task, pid_t old_tid, const std::string& path) override;
  void task_exiting(Task& task, int status) override;
  void task_gone(pid_t tid) override;
  void signal_generated(Task* sender, const GeneratedSignal& signal) override;
  bool awaits_deliveries() const override { return awaited(Hook::trace_signal_deliver, Side::kEntry); }
  void signal_delivered(Task& task, PtRegs& regs, const DeliveredSignal& signal) override;
  bool site_hit(Task& task, Sites::Id site, PtRegs& regs) override;
  bool site_wanted(Sites::Id site, pid_t tid) override;
  void site_lost(Sites::Id site, const char* why) override;
  void function_returned(Task& task, u64 cookie, PtRegs& regs) override;
  void watch_hit(Task& task, u32 registers) override { watches_.hit(task, registers); }
  s64 program_asks(Task& task, PtRegs& regs, u32 helper, u32 cpu, const std::array<u64, 4>& arguments) override;
  ApartEvents& apart() { return apart_; }

  bool awaited(Hook hook, Side side) const override { return of(hook, side).awaited; }
  Arguments::Mask looked_at(Hook hook) const override;
  u64 listeners() const override { return points_made_; }
  void passed(Hook hook, Side side, const Event& event) override;
  u64 asked(Hook hook, Side side, const Event& event) override;
  // On behalf of a task, at its stop: `tell(Occasion&)` says which hooks are passed.
  void pass(Task& task, const std::function<void(Occasion&)>& tell);

  // Test functions of the kernel are called for the task (kernel: bpf_prog_test_run_tracing).
  void call_test_functions(Task& task, bool modified);

  Sockets& sockets() { return sockets_; }

  // Points enter and leave the registry as they are made and destroyed.
  void add(Point& point);
  void remove(Point& point);
  // A point gained or lost a program: which system calls must stop may have changed.
  void programs_changed();
  // The same, once for many.
  void change_at_once(const std::function<void()>& changes);

  // Where the thread entered the function whose return the uretprobe waits for.
  u64 entry_of(const Point& point, const Task& task) const;

  // The point's filter has gained or lost a task.
  void filter_changed(Point& point);

  // Runs the programs of a point on an event, and lets its perf events count it (kernel: trace_call_bpf,
  // perf_trace_run_bpf_submit). What the last program returned, 0 when none ran.
  u64 fire(const Point& point, const Event& event);

  Runner& runner() { return runner_; }
  Host& host() { return parts_.host; }
  Sites& sites() { return parts_.sites; }
  Unmodelled& unmodelled() { return parts_.unmodelled; }
  const KernelData& kernel() { return parts_.kernel; }
  DynamicEvents& dynamic_events() { return parts_.dynamic_events; }
  // How many listeners a kernel tracepoint has, and how many arguments (0: the model never fires it).
  u32 listeners_of(std::string_view tracepoint) const;
  static u32 tracepoint_arguments(std::string_view tracepoint);
  const PerfSideband& sideband() const { return sideband_; }
  PerfWatches& watches() { return watches_; }
  u64 next_perf_id() { return ++last_perf_id_; }
  std::map<u64, PerfEvent*> perf_events;  // all there are, by id
  void for_each_perf_event(const std::function<void(PerfEvent&)>& call);

  std::map<u32, std::weak_ptr<Point>> by_event_id;                // trace events share a point
  std::set<std::pair<std::string, const Program*>> raw_attached;  // a raw tracepoint takes each program once
  std::set<const Program*> trampolined;                           // programs that trampolines call

 private:
  using Points = std::vector<Point*>;
  // What running programs pass themselves.
  Outlets with_functions(Outlets outlets);
  u64 function_entered(RunScope& within, const RuntimeCall& call);
  void function_left(RunScope& within, const RuntimeCall& call, u64 result);
  void refresh_functions();
  bool concerns(const Point& point, const Task& task);
  const Points& points_of(Sites::Id site, bool on_return) const;
  static ProgramNeeds needs_at(const Point& point);
  void tell_apart(const SyscallSet& entry, const SyscallSet& exit);
  void fire_all(const Points& points, const Event& event);
  void pass(const Points& list, const std::function<void(const Point&)>& call);

  Parts parts_;
  std::function<void(const u8*)> functions_listened_;
  Runner runner_;
  std::unique_ptr<EventTracer> tracer_;
  std::array<Points, kSyscallLimit> entered_, exited_;  // in the order in which the call passes them
  // Who listens at one side of a hook.
  struct Listeners {
    Points points;
    bool awaited = false;
    Arguments::Mask looked_at = 0;
  };
  Listeners& of(Hook hook, Side side) { return hooks_[static_cast<size_t>(hook)][static_cast<size_t>(side)]; }
  const Listeners& of(Hook hook, Side side) const {
    return hooks_[static_cast<size_t>(hook)][static_cast<size_t>(side)];
  }
  void refresh_hooks(SyscallSet& entry, SyscallSet& exit);

  OccasionMemory memory_;
  Sockets sockets_;
  SocketWatch socket_watch_;
  Sleepers sleepers_;
  ThreadWords thread_words_;
  HookServices services_;
  Transits transits_;
  std::array<std::array<Listeners, static_cast<size_t>(Side::kCount)>, kHooks> hooks_;
  std::vector<u8> listened_;  // of the functions that running programs pass: does somebody listen?
  SyscallSet hooked_;  // the calls on whose way somebody listens to a hook
  u64 points_made_ = 0;
  std::map<Sites::Id, Points> sites_hit_, sites_returned_;
  std::set<const Point*> points_;  // all there are
  u32 held_ = 0;                   // who makes many changes at once
  u64 changes_ = 0;                // how often points or their programs did
  std::map<std::pair<pid_t, Sites::Id>, u64> entered_at_;  // where threads entered functions whose returns are awaited
  std::unordered_map<pid_t, u64> ending_;  // task_structs of threads that have exited, while somebody waits for their release
  std::set<Point*> targeted_;  // uprobes that concern the address spaces of certain tasks
  std::multiset<std::pair<std::string_view, Listener>> listeners_;
  PerfSideband sideband_{*this};
  PerfWatches watches_{*this};
  ApartEvents apart_;
  bool wanted_signals_ = false;
  u64 last_perf_id_ = 0;
  SyscallSet wanted_entry_, wanted_exit_;  // what the host was told
};

}  // namespace bpfemu
