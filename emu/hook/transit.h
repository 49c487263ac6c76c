// SPDX-License-Identifier: Apache-2.0
// A system call on its way through the claimed kernel, from its entry to its exit.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <unordered_map>

#include "emu/hook/occasion.h"
#include "emu/hook/path.h"

namespace bpfemu {

class Transit : public Occasion {
 public:
  Transit(HookSink& sink, const HookServices& services, Task& task, PtRegs& regs, long number);

  long number() const { return event_.number; }
  u64 arg(u32 n) const { return args_[n]; }
  const std::array<u64, 6>& args() const { return args_; }

  // execve: who made the call, as he was then, when somebody wants to know.
  std::optional<TaskFacts> caller_facts;

  // What the denied call gives, where that is no error.
  void deny_with(s64 result) { denial_ = result; }
  // Whose rows of kernel_stacks.inc it has from here on: asked while the path is under way, when a program wants a stack.
  void goes_like(std::function<long()> route) {
    route_ = std::move(route);
    event_.route = &route_;
  }
  void goes_by(long way) { goes_like([row = number() | way] { return row; }); }
  // The call passes the hook, but when and with what is not modelled: that is said where somebody listens.
  void untold(Hook hook);

  // The rest of the path is what happens when the host's kernel has run the call: its result.
  auto done() {
    struct Done {
      Transit& call;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> here) { call.waiting_ = here; }
      s64 await_resume() const { return call.result_; }
    };
    return Done{*this};
  }
  // The rest is what the task does on its way out, behind the exit events (kernel: task_work_run, as for __fput).
  auto left() {
    struct Left {
      Transit& call;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> here) { call.leaving_ = here; }
      void await_resume() const {}
    };
    return Left{*this};
  }

 private:
  friend class Transits;
  std::array<u64, 6> args_;
  s64 result_ = 0;
  std::function<long()> route_;
  Path path_;
  std::coroutine_handle<> waiting_, leaving_;
};

// Those that are under way.
class Transits {
 public:
  Transits(HookSink& sink, const HookServices& services) : sink_(sink), services_(services) {}

  // A call on whose way somebody listens begins; with what it is denied. And it ends: what its result is now. A call
  // whose beginning nobody saw has no end here. Then it is left.
  std::optional<s64> begin(Task& task, PtRegs& regs, long number);
  s64 end(Task& task, PtRegs& regs, long number, s64 result);
  void leave(Task& task);
  // The thread is gone, or goes by another number after exec.
  void forget(pid_t tid) { calls_.erase(tid); }
  void renamed(pid_t from, pid_t to);
  // What the thread's execve noted of it.
  std::optional<TaskFacts> caller_facts(pid_t tid) const {
    const auto call = calls_.find(tid);
    return call != calls_.end() ? call->second->caller_facts : std::nullopt;
  }

 private:
  HookSink& sink_;
  const HookServices& services_;
  std::unordered_map<pid_t, std::shared_ptr<Transit>> calls_;
};

}  // namespace bpfemu
