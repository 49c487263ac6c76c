// SPDX-License-Identifier: Apache-2.0
// The tracer's loop over scripted stops. Thread ids are far above any real one.
#include "loader/tracer.h"

#include <linux/sched.h>
#include <sys/syscall.h>

#include <catch2/catch.hpp>

#include "tests/unit/loader/scripted_os.h"

using namespace bpfemu;

namespace {

constexpr pid_t kFirst = 1 << 29, kSecond = kFirst + 1, kThird = kFirst + 2;
constexpr int kSeccomp = ScriptedOs::stop(SIGTRAP, PTRACE_EVENT_SECCOMP);
constexpr int kSyscall = ScriptedOs::stop(SIGTRAP | 0x80);
constexpr int kNewThread = ScriptedOs::stop(SIGTRAP, PTRACE_EVENT_STOP);
constexpr int kForked = ScriptedOs::stop(SIGTRAP, PTRACE_EVENT_FORK);
constexpr int kCloned = ScriptedOs::stop(SIGTRAP, PTRACE_EVENT_CLONE);
constexpr int kExecuted = ScriptedOs::stop(SIGTRAP, PTRACE_EVENT_EXEC);

class Answers final : public CallHandler, public EventSink {
 public:
  std::function<Reply(Call&)> on_enter = [](Call&) { return Reply::native(); };
  std::vector<std::string> seen;

  Reply enter(Call& call) override { return on_enter(call); }
  s64 exit(Call&, s64 result) override { return result + 1; }
  EventSink* events() override { return this; }
  u32 version_code() override { return 0; }

  std::optional<s64> syscall_entered(Task&, PtRegs&, long number) override {
    seen.push_back("enter " + std::to_string(number));
    return std::nullopt;
  }
  s64 syscall_exited(Task&, PtRegs&, long number, s64 result) override {
    seen.push_back("exit " + std::to_string(number) + " " + std::to_string(result));
    return result;
  }
  void task_forked(Task&, pid_t child, bool thread) override {
    seen.push_back((thread ? "thread " : "process ") + std::to_string(child - kFirst));
  }
  void task_executed(Task& task, pid_t old_tid, const std::string&) override {
    seen.push_back("exec " + std::to_string(task.tid() - kFirst) + " was " + std::to_string(old_tid - kFirst));
  }
  void task_exiting(Task& task, int) override { seen.push_back("exits " + std::to_string(task.tid() - kFirst)); }
  void task_gone(pid_t tid) override { seen.push_back("gone " + std::to_string(tid - kFirst)); }
  void signal_generated(Task*, const GeneratedSignal&) override {}
  bool site_hit(Task&, Sites::Id, PtRegs&) override { return true; }
  bool site_wanted(Sites::Id, pid_t) override { return false; }
  void site_lost(Sites::Id, const char*) override {}
  void function_returned(Task&, u64, PtRegs&) override {}
};

// A tracer that has started its first thread.
struct World {
  ScriptedOs os;
  TrapHandler traps;
  TaskEnv env{os, traps, {}, -1, {}, -1, {}};
  TaskTable tasks{env};
  Widening widening{env, tasks};
  Tracer tracer{env, tasks, widening};
  Answers answers;

  World() {
    TracedTask& task = tasks.add_first(kFirst);
    task.traced.set();
    tracer.adopt_first(task, answers);
  }
  void call(pid_t tid, long number, u64 first = 0) {
    os.regs[tid] = {};
    os.regs[tid].orig_rax = number;
    os.regs[tid].rax = static_cast<u64>(-ENOSYS);
    os.regs[tid].rdi = first;
    os.regs[tid].rip = 0x401002;
  }
  void step(pid_t tid, int status) {
    os.statuses.push_back({tid, status});
    tracer.turn();
  }
};

}  // namespace

TEST_CASE("an answered call costs one stop and never reaches the kernel") {
  World w;
  w.answers.on_enter = [](Call&) { return Reply::answer(42); };
  w.call(kFirst, SYS_bpf);
  w.step(kFirst, kSeccomp);
  CHECK(w.os.regs[kFirst].rax == 42);
  CHECK(w.os.regs[kFirst].orig_rax == ~u64{0});
  CHECK(w.os.last(kFirst) == PTRACE_CONT);
}

TEST_CASE("a native call goes on untouched") {
  World w;
  w.call(kFirst, SYS_openat, 7);
  w.step(kFirst, kSeccomp);
  CHECK(w.os.count(PTRACE_SETREGS) == 0);
  CHECK(w.os.last(kFirst) == PTRACE_CONT);
}

TEST_CASE("changed arguments are put back at the exit") {
  World w;
  w.answers.on_enter = [](Call& call) {
    call.args[0] = 99;
    return Reply::rewritten();
  };
  w.call(kFirst, SYS_close, 7);
  w.step(kFirst, kSeccomp);
  CHECK(w.os.regs[kFirst].rdi == 99);
  CHECK(w.os.last(kFirst) == PTRACE_SYSCALL);
  w.os.regs[kFirst].rax = 5;
  w.step(kFirst, kSyscall);
  CHECK(w.os.regs[kFirst].rdi == 7);
  CHECK(w.os.regs[kFirst].rax == 5);
  CHECK(w.os.last(kFirst) == PTRACE_CONT);
}

TEST_CASE("an exit handler replaces the result") {
  World w;
  w.answers.on_enter = [](Call&) { return Reply::native_then_exit(); };
  w.call(kFirst, SYS_read);
  w.step(kFirst, kSeccomp);
  w.os.regs[kFirst].rax = 10;
  w.step(kFirst, kSyscall);
  CHECK(w.os.regs[kFirst].rax == 11);
}

TEST_CASE("probes see entry and exit of what they want, answered or not") {
  World w;
  SyscallSet wanted;
  wanted.set(SYS_getppid).set(SYS_bpf);
  w.tracer.report(wanted, wanted);
  w.answers.on_enter = [](Call& call) { return call.number == SYS_bpf ? Reply::answer(3) : Reply::native(); };
  w.call(kFirst, SYS_getppid);
  w.step(kFirst, kSeccomp);
  w.os.regs[kFirst].rax = 1;
  w.step(kFirst, kSyscall);
  w.call(kFirst, SYS_bpf);
  w.step(kFirst, kSeccomp);
  w.call(kFirst, SYS_getuid);
  w.step(kFirst, kSeccomp);
  CHECK(w.answers.seen == std::vector<std::string>{"enter 110", "exit 110 1", "enter 321", "exit 321 3"});
}

TEST_CASE("a child may stop before its parent tells of it") {
  World w;
  w.call(kFirst, SYS_fork);
  w.os.messages[kFirst] = kSecond;
  const bool child_first = GENERATE(true, false);
  if (child_first) {
    w.step(kSecond, kNewThread);
    CHECK(w.tasks.find(kSecond) == nullptr);
    CHECK(w.os.last(kSecond) == -1);
    w.step(kFirst, kForked);
    w.tracer.turn();
  } else {
    w.step(kFirst, kForked);
    w.step(kSecond, kNewThread);
  }
  REQUIRE(w.tasks.find(kSecond) != nullptr);
  CHECK(w.tasks.find(kSecond)->tgid() == kSecond);
  CHECK(w.os.last(kSecond) == PTRACE_CONT);
  CHECK(w.os.last(kFirst) == PTRACE_CONT);
  CHECK(w.answers.seen == std::vector<std::string>{"process 1"});
}

TEST_CASE("clone flags say what is shared") {
  World w;
  w.call(kFirst, SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND);
  w.os.messages[kFirst] = kSecond;
  w.step(kFirst, kCloned);
  w.call(kFirst, SYS_clone, CLONE_VM);
  w.os.messages[kFirst] = kThird;
  w.step(kFirst, kCloned);
  TracedTask &first = *w.tasks.find(kFirst), &thread = *w.tasks.find(kSecond), &process = *w.tasks.find(kThird);
  CHECK(&thread.process() == &first.process());
  CHECK(&process.process() != &first.process());
  CHECK(&process.memory() == &first.memory());
  CHECK(w.tasks.processes().size() == 2);
}

TEST_CASE("exec by a thread makes it the leader and drops its siblings") {
  World w;
  w.call(kFirst, SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND);
  for (pid_t tid : {kSecond, kThird}) {
    w.os.messages[kFirst] = tid;
    w.step(kFirst, kCloned);
    w.step(tid, kNewThread);
  }
  const u64 old_memory = w.tasks.find(kFirst)->memory().id;
  w.os.messages[kFirst] = kThird;
  w.os.regs[kFirst] = {};
  w.step(kFirst, kExecuted);
  CHECK(w.tasks.size() == 1);
  CHECK(w.tasks.find(kFirst)->memory().id != old_memory);
  CHECK(w.answers.seen.back() == "exec 0 was 2");
  // The siblings' deaths may still be reported.
  w.step(kSecond, 0);
  CHECK(w.tasks.size() == 1);
}

TEST_CASE("signals are delivered, group stops kept") {
  World w;
  w.os.regs[kFirst] = {};
  w.os.regs[kFirst].orig_rax = ~u64{0};
  w.step(kFirst, ScriptedOs::stop(SIGUSR1));
  CHECK(w.os.last(kFirst) == PTRACE_CONT);
  CHECK(w.os.asked.back().data == SIGUSR1);
  w.step(kFirst, ScriptedOs::stop(SIGSTOP, PTRACE_EVENT_STOP));
  CHECK(w.os.last(kFirst) == PTRACE_LISTEN);
  w.step(kFirst, kNewThread);
  CHECK(w.os.last(kFirst) == PTRACE_CONT);
}

TEST_CASE("a thread that is dead at any stop is no accident") {
  World w;
  w.os.dead.push_back(kFirst);
  for (int status : {kSeccomp, kSyscall, kForked, kExecuted, kNewThread, ScriptedOs::stop(SIGTRAP),
                     ScriptedOs::stop(SIGSTOP, PTRACE_EVENT_STOP), ScriptedOs::stop(SIGTRAP, PTRACE_EVENT_EXIT)})
    w.step(kFirst, status);
  w.answers.on_enter = [](Call& call) { return Reply::answer(call.task.call(SYS_getpid, {})); };
  w.step(kFirst, kSeccomp);
  CHECK(w.tasks.find(kFirst) != nullptr);
  w.step(kFirst, SIGKILL);
  CHECK(w.tasks.empty());
  const auto& seen = w.answers.seen;
  REQUIRE(seen.size() >= 2);
  CHECK(seen[seen.size() - 2] == "exits 0");
  CHECK(seen.back() == "gone 0");
}

TEST_CASE("restart_syscall goes on with the call that was interrupted") {
  World w;
  w.answers.on_enter = [](Call& call) { return call.number == SYS_poll ? Reply::native_then_exit() : Reply::native(); };
  w.call(kFirst, SYS_poll, 1);
  w.step(kFirst, kSeccomp);
  w.os.regs[kFirst].rax = static_cast<u64>(-516);
  w.step(kFirst, kSyscall);
  w.call(kFirst, SYS_restart_syscall);
  w.step(kFirst, kSeccomp);
  CHECK(w.os.last(kFirst) == PTRACE_SYSCALL);
  w.os.regs[kFirst].rax = 2;
  w.step(kFirst, kSyscall);
  CHECK(w.os.regs[kFirst].rax == 3);
}
