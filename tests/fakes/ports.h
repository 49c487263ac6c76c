// SPDX-License-Identifier: Apache-2.0
// The ports as tests have them: a traced thread whose memory and descriptors are the test program's own, a host whose
// clock and timers the test moves, and sites that only remember what was asked of them.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "emu/base/fd.h"
#include "emu/ports/host.h"
#include "emu/ports/sites.h"
#include "emu/ports/task.h"

namespace bpfemu::fakes {

// A thread that lives in the test itself. Addresses are the test's pointers; a wrong one is EFAULT, not a crash.
class FakeTask : public Task {
 public:
  explicit FakeTask(pid_t tid = 0, pid_t tgid = 0);

  pid_t tid() const override { return tid_; }
  pid_t tgid() const override { return tgid_; }
  u64 memory_id() const override { return dead_ ? 0 : static_cast<u64>(tgid_); }
  Result<void> read(u64 address, void* to, size_t size) override;
  Result<void> write(u64 address, const void* from, size_t size) override;
  Result<std::string> read_string(u64 address, size_t limit) override;
  PtRegs& regs() override { return regs_; }
  Result<u64> call(long number, std::array<u64, 6> args) override;
  Result<int> install_fd(int fd, bool cloexec) override;
  Result<u64> map_file(int fd, std::span<const FilePiece> pieces) override;
  Result<FileId> file_id(int fd) override;
  Result<int> reopen_fd(int fd, int flags) override;
  Result<int> share_fd(int fd) override;
  Result<u64> scratch(size_t size) override;

  // Makes every later operation fail with ESRCH, as a SIGKILL does.
  void kill() { dead_ = true; }

 private:
  pid_t tid_, tgid_;
  PtRegs regs_{};
  bool dead_ = false;
  alignas(16) std::array<u8, 4096> scratch_{};
};

class FakeHost : public Host {
 public:
  void want_syscalls(const SyscallSet& entry, const SyscallSet& exit) override;
  u64 clock(int clock_id) override;
  TimerId add_timer(u64 period_ns, std::function<void()> fire) override;
  void cancel_timer(TimerId id) override;
  Task* find_task(pid_t tid) override;
  Result<TaskFacts> facts(pid_t tid) override;
  std::vector<pid_t> thread_groups() override;
  std::vector<pid_t> threads() override;
  Result<TaskUsage> usage(pid_t tid) override;
  std::vector<pid_t> running(int cpu) override;
  void watch(pid_t tid, const Watches& watches, std::function<void()>) override { watched[tid] = watches; }
  void at_stop(pid_t tid, std::function<void(Task&)> call) override;

  // Moves the clock on by `ns` and fires the timers that come due.
  void advance(u64 ns);

  SyscallSet entry, exit;               // what was last wanted
  std::map<pid_t, Task*> tasks;         // what find_task knows
  std::map<pid_t, TaskFacts> task_facts;
  std::map<pid_t, TaskUsage> used;      // a thread without an entry has used nothing
  std::map<pid_t, Watches> watched;     // by the debug registers of threads
  std::map<pid_t, int> on_cpu;          // the threads that run, and where

 private:
  struct Timer {
    u64 period, due;
    std::function<void()> fire;
  };
  std::map<TimerId, Timer> timers_;
  TimerId last_timer_ = 0;
  u64 now_ = 1'000'000'000;
};

class FakeSites : public Sites {
 public:
  Result<Id> add(const UserPlace& place) override;
  void drop(Id id) override;
  Result<void> apply(Id id) override;
  void withdraw(Id id) override;
  Result<void> on_return(Task& task, Id id, u64 cookie) override;

  struct Site {
    UserPlace place;
    u32 uses, applied, withdrawn;
  };
  std::map<Id, Site> sites;
  std::vector<u64> returns;             // cookies of pending returns, in order of entry
  int refuse = 0;                       // an errno that apply() answers with

 private:
  Id last_ = 0;
};

}  // namespace bpfemu::fakes
