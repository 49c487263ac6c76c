// SPDX-License-Identifier: Apache-2.0
// The tracer's loop: every stop of every thread comes through here and leaves as one answer.
#pragma once

#include <functional>
#include <unordered_map>

#include "emu/ports/event_sink.h"
#include "emu/syscalls/call.h"
#include "loader/cpu_follower.h"
#include "loader/file_systems.h"
#include "loader/decider.h"
#include "loader/long_calls.h"
#include "loader/spawn.h"
#include "loader/task_table.h"
#include "loader/widening.h"

namespace bpfemu {

// Who answers calls and hears of events: the kernel model, or a test.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  // A call that stopped, for whatever reason: native() for one that is nobody's business.
  virtual Reply enter(Call& call) = 0;
  // Its exit, when enter() asked for it: the result as the program sees it.
  virtual s64 exit(Call& call, s64 result) = 0;
  // A thread has stopped, and nothing was made of it yet: time to notice what no stop tells, such as close().
  virtual void catch_up() {}
  // Null: nothing is decided in processes. Asked for when something is about to be; from then on publish() is to keep it
  // true. `all_mappings`: those of files are all asked about.
  virtual PathTable* paths() { return nullptr; }
  virtual void publish(bool /*all_mappings*/) {}
  // What processes see of the model, and would one have answered this call by that?
  virtual InsideView inside() { return {}; }
  virtual bool is_answered_inside(Call&) { return false; }
  // Null: nobody listens.
  virtual EventSink* events() = 0;
  // A thread or process begins as its parent is, runs another program, has given its number back.
  virtual void thread_forked(pid_t /*parent*/, pid_t /*child*/) {}
  virtual void thread_executed(pid_t /*tid*/, pid_t /*old_tid*/) {}
  virtual void thread_gone(pid_t /*tid*/) {}
  // The last thread of a process is gone.
  virtual void process_ended(pid_t /*tgid*/, int /*wait_status*/) {}
  // LINUX_VERSION_CODE for the vDSO of new programs, 0: leave it.
  virtual u32 version_code() = 0;
};

class Tracer {
 public:
  Tracer(TaskEnv& env, TaskTable& tasks, Widening& widening);

  // Between two waits: timers and signals to ourselves.
  std::function<void()> attend = [] {};
  std::function<void(u64 ns, std::function<void()> call)> later;  // a timer of the loop
  std::function<void(std::string_view)> note = [](std::string_view) {};  // something not modelled

  // Runs `spawn` until its exec: its calls are the loader's own business. Error: it never became the command.
  Result<void> start(Spawn& spawn, const SyscallSet& traced, CallHandler& handler);
  // The two halves of start() and run(), for tests: a thread that has executed the command, and one turn of the loop.
  void adopt_first(TracedTask& task, CallHandler& handler);
  bool turn();
  // Until `stop()` or the last thread is gone. Gives the first process' wait status.
  int run();
  void stop() { stopping_ = true; }
  bool wait_for_all = false;

  // What probes want to see, apart from what must stop anyway. Gives the exits that nobody wanted before.
  SyscallSet report(const SyscallSet& entry, const SyscallSet& exit);
  // Calls back with the thread at a stop: this one, or one that an interrupt brings about.
  void at_stop(pid_t tid, std::function<void(Task&)> call);
  // Does anybody have to be told of the mappings that threads make?
  bool minds_mappings() const { return env_.traps.any_sites() || file_systems_.any_served(); }
  // From now on. What a thread has just decided to map is seen when it has done so.
  void look_at_mappings();
  void report_signals(bool on) { report_signals_ = on; }
  CpuFollower& cpu() { return cpu_; }
  Decider& decider() { return decider_; }
  // From within whatever is done for a stop or a timer; see long_calls.h.
  LongCalls& long_calls() { return long_calls_; }
  // The calls that send signals.
  static const SyscallSet& signal_calls();
  // Did the first process get this signal by itself since they were last forgotten?
  bool delivered_to_root(int signal) const { return root_signals_ >> (signal - 1) & 1; }
  void forget_root_signals() { root_signals_ = 0; }

 private:
  using Kind = StopEvent::Kind;

  bool next(StopEvent& event);
  void collect(Waited waited);
  bool wait_between_slices();
  bool hindered(const TracedTask& task, const StopEvent& event);
  void handle(const StopEvent& event);
  void on_stop(TracedTask& task, const StopEvent& event);
  void on_seccomp(TracedTask& task);
  void on_call(TracedTask& task, long number);
  void on_restarted(TracedTask& task);
  void on_unknown_call(TracedTask& task, long number);
  void on_syscall(TracedTask& task);
  void on_reentry(TracedTask& task);
  void on_signal(TracedTask& task, int signal);
  void on_signal_inside(TracedTask& task, int signal);
  void on_request(TracedTask& task);
  void on_ignored_signal(TracedTask& task, int signal);
  void pass_signal(TracedTask& task, int signal);
  bool on_own_signal(TracedTask& task, int signal);
  void on_trapped_call(TracedTask& task, const siginfo_t& info);
  void on_group_stop(TracedTask& task, int signal);
  void on_trap(TracedTask& task);
  void on_first_stop(TracedTask& task);
  void on_fork(TracedTask& task, Kind kind);
  void on_exec(TracedTask& task);
  void on_exiting(TracedTask& task);
  void end_call(TracedTask& task, EventSink& sink);
  void on_dead(const StopEvent& event);
  void gone(pid_t tid);

  bool own_call(TracedTask& task, Call& call, TracedTask::Pending& pending);
  bool install_filter(TracedTask& task, Call& call, TracedTask::Pending& pending);
  bool fix_clone_args(TracedTask& task, Call& call, TracedTask::Pending& pending);
  static void unfix_clone_args(TracedTask& task, const TracedTask::Pending& pending);
  void note_waiting_file(TracedTask& task, const Call& call);
  void note_ptrace(const Call& call);
  void note_set_uid(const TracedTask& task, const struct statx& program);
  void answer(TracedTask& task, long number, s64 value);
  void shelter_fork(TracedTask& task, const TracedTask::Pending& pending);
  static void end_shelter(TracedTask& task);
  void go(TracedTask& task);
  void expect_exit(TracedTask& task);
  void leave_call(TracedTask& task, const TracedTask::Pending& pending);
  void signal_sent(TracedTask& task, const Call& call);
  std::vector<pid_t> members(const TracedTask& task, pid_t target) const;
  void generate(TracedTask& sender, GeneratedSignal made, pid_t target);
  void child_died(TracedTask& task, int status);
  void signal_raised(TracedTask& task, int signal);
  void signal_delivered(TracedTask& task, int signal);
  void signal_handled(TracedTask& task);
  void end_delivered(TracedTask& task, bool killed);
  bool resume_interrupted(TracedTask& task, const std::optional<TracedTask::Pending>& pending);
  void park(const StopEvent& event);
  void await_parked();
  void adopt_parked(bool late);
  void adopt(pid_t tid, bool late);
  void kill_all();

  TaskEnv& env_;
  TaskTable& tasks_;
  Widening& widening_;
  CallHandler* handler_ = nullptr;
  LongCalls long_calls_;
  FileSystems file_systems_;
  CpuFollower cpu_;
  Decider decider_;
  SyscallSet report_entry_, report_exit_;
  bool report_signals_ = false;
  std::unordered_map<pid_t, StopEvent> parked_;  // first stops of threads whose creator has not reported them yet
  bool awaiting_parked_ = false;
  pid_t root_ = 0;
  int root_status_ = 0;
  bool root_dead_ = false;
  bool started_ = false;
  bool stopping_ = false;
  u32 single_waits_ = 0;
  u64 root_signals_ = 0;
};

}  // namespace bpfemu
