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

  void want_syscalls(const SyscallSet& entry, const SyscallSet& exit) override;
  void want_in_process(Task& task, const SyscallSet& calls) override;
  void want_signals(bool on) override;
  u64 clock(int clock_id) override;
  TimerId add_timer(u64 period_ns, std::function<void()> fire) override;
  void cancel_timer(TimerId id) override { waker_.cancel_timer(id); }
  Task* find_task(pid_t tid) override { return tasks_.find(tid); }
  Result<TaskFacts> facts(pid_t tid) override;
  u32 cpu_of(Task& task) override;
  bool pause() override { return tracer_->pause(); }
  std::vector<pid_t> thread_groups() override { return tasks_.thread_groups(); }

 private:
  TaskTable& tasks_;
  Widening& widening_;
  Waker& waker_;
  Tracer* tracer_ = nullptr;
};

}  // namespace bpfemu
