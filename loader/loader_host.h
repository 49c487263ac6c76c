// SPDX-License-Identifier: Apache-2.0
// The loader's side of ports/host.h.
#pragma once

#include "emu/ports/host.h"
#include "loader/tracer.h"
#include "loader/waker.h"

namespace bpfemu {

class LoaderHost final : public Host {
 public:
  LoaderHost(TaskTable& tasks, Widening& widening, Waker& waker) : tasks_(tasks), widening_(widening), waker_(waker) {}
  void set_tracer(Tracer* tracer) { tracer_ = tracer; }
  // Calls that probes listen to, from now on.
  std::function<void(const SyscallSet&)> heard = [](const SyscallSet&) {};
  // How the command is root, and its first process, which is in the user namespace that they all begin in.
  void set_root(const Root& root, pid_t first);

  void want_syscalls(const SyscallSet& entry, const SyscallSet& exit) override;
  void want_everywhere(const SyscallSet& calls) override { widening_.want(calls); }
  void want_in_process(Task& task, const SyscallSet& calls) override;
  void want_signals(bool on) override;
  u64 clock(int clock_id) override;
  TimerId add_timer(u64 period_ns, std::function<void()> fire) override;
  void cancel_timer(TimerId id) override { waker_.cancel_timer(id); }
  Task* find_task(pid_t tid) override { return tasks_.find(tid); }
  Task* find_local(Task& caller, pid_t tid) override;
  Result<TaskFacts> facts(pid_t tid) override;
  u32 cpu_of(Task& task) override;
  bool pause() override { return tracer_->long_calls().pause(); }
  bool breathe(const Task* task) override { return tracer_->long_calls().breathe(task); }
  std::vector<pid_t> thread_groups() override { return tasks_.thread_groups(); }
  void show_cpus(pid_t tid) override;
  std::vector<pid_t> threads() override { return tasks_.threads(); }
  Result<TaskUsage> usage(pid_t tid) override;
  std::vector<pid_t> running(int cpu) override;
  RunQueue runnable(u32 cpu) override;
  void watch(pid_t tid, const Watches& watches, std::function<void()> refused) override;
  void at_stop(pid_t tid, std::function<void(Task&)> call) override { tracer_->at_stop(tid, std::move(call)); }

 private:
  struct Place {
    pid_t tid;
    u32 cpu;
    bool idle;  // SCHED_IDLE
  };
  void look_who_runs();

  TaskTable& tasks_;
  Widening& widening_;
  Waker& waker_;
  Tracer* tracer_ = nullptr;
  Root root_;
  u64 user_namespace_ = 0;
  std::vector<Place> running_;  // as it was when somebody looked last
  u64 look_again_ns_ = 0;
  u64 turn_ = 0;
};

}  // namespace bpfemu
