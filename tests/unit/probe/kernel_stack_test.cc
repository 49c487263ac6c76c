// SPDX-License-Identifier: Apache-2.0
// Kernel stacks, as Debian's 6.1.192 showed them to bpf_get_stack.
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>

#include "emu/probe/attach.h"
#include "emu/probe/tracepoints.h"
#include "tests/unit/probe/world.h"

namespace bpfemu {
namespace {

constexpr u64 kReturnIp = 0xffffffffc0001234;

struct StackWorld : World {
  std::string seen;
  u64 ip = 0;

  std::shared_ptr<Program> looker(u32 type) {
    return make_program(type, [this](Run* run, void* context) {
      u64 ips[32];
      run->return_ip = kReturnIp;
      s64 count = run->env->kernel_stack(run->env->self, run, ips, 32);
      seen = count < 0 ? std::to_string(count) : "";
      for (s64 i = 0; i < count; ++i) {
        const Symbol* symbol = kernel.symbols().at(ips[i]);
        seen += ips[i] == kReturnIp ? "program " : fmt::format("{}+{} ", symbol->name, ips[i] - symbol->address);
      }
      if (run->program->type == BPF_PROG_TYPE_KPROBE) ip = static_cast<PtRegs*>(context)->rip;
      return u64{0};
    });
  }
  std::shared_ptr<Point> trace(const char* system, const char* name) {
    auto point = tracepoint(probes, event_id(system, name));
    REQUIRE(point);
    REQUIRE((*point)->attach({looker(BPF_PROG_TYPE_TRACEPOINT), 0}));
    return *point;
  }
  std::shared_ptr<Link> raw(const char* name) {
    auto link = attach_raw_tracepoint(probes, name, looker(BPF_PROG_TYPE_RAW_TRACEPOINT));
    REQUIRE(link);
    return *link;
  }
  std::string entered(long number) {
    PtRegs regs{};
    return probes.syscall_entered(task, regs, number), seen;
  }
  std::string exited(long number, s64 result) {
    PtRegs regs{};
    return probes.syscall_exited(task, regs, number, result), seen;
  }
};

TEST_CASE("kernel stacks at system calls") {
  StackWorld w;
  {
    auto own = w.trace("syscalls", "sys_enter_getpgid");
    w.seen = "nothing";
    CHECK(w.entered(SYS_getpgid) == "");  // these are given the user's registers
  }
  {
    auto all = w.trace("raw_syscalls", "sys_enter");
    CHECK(w.entered(SYS_getpgid) ==
          "syscall_trace_enter.constprop.0+387 do_syscall_64+62 entry_SYSCALL_64_after_hwframe+110 ");
    auto own = w.trace("syscalls", "sys_enter_getpid");  // a second listener, of whatever call
    CHECK(w.entered(SYS_getpgid) ==
          "__traceiter_sys_enter+49 syscall_trace_enter.constprop.0+387 do_syscall_64+62 "
          "entry_SYSCALL_64_after_hwframe+110 ");
  }
  {
    auto raw = w.raw("sys_exit");
    CHECK(w.exited(SYS_getpgid, 1) ==
          "program bpf_trace_run2+74 syscall_exit_to_user_mode_prepare+317 syscall_exit_to_user_mode+9 "
          "do_syscall_64+105 entry_SYSCALL_64_after_hwframe+110 ");
    CHECK(w.exited(SYS_clone, 0) ==
          "program bpf_trace_run2+74 syscall_exit_to_user_mode_prepare+317 syscall_exit_to_user_mode+9 "
          "ret_from_fork+21 ");
  }
  CHECK(w.unmodelled.counts().empty());
}

TEST_CASE("kernel stacks at kprobes") {
  StackWorld w;
  const std::string rest = "do_syscall_64+93 entry_SYSCALL_64_after_hwframe+110 ";
  auto look = [&](const char* symbol, bool on_return, long number) {
    auto point = kprobe(w.probes, symbol, 0, 0, on_return);
    REQUIRE(point);
    REQUIRE((*point)->attach({w.looker(BPF_PROG_TYPE_KPROBE), 0}));
    std::string seen = w.entered(number);
    if (on_return) seen = w.exited(number, 0);  // of a call that was seen to begin
    // The registers agree with the stack: bpf_get_stack starts from them.
    const Symbol* at = w.kernel.symbols().at(w.ip);
    CHECK(seen.starts_with(fmt::format("{}+{} ", at->name, w.ip - at->address)));
    return seen;
  };
  CHECK(look("__x64_sys_getpgid", false, SYS_getpgid) == "__x64_sys_getpgid+1 " + rest);
  CHECK(look("__x64_sys_getpgid", true, SYS_getpgid) == rest);
  CHECK(look("x64_sys_call", false, SYS_getpgid) == "x64_sys_call+1 " + rest);
  CHECK(look("ksys_read", false, SYS_read) == "ksys_read+1 " + rest);
  CHECK(look("close_fd", false, SYS_close) == "close_fd+1 __x64_sys_close+13 " + rest);
  CHECK(look("close_fd", true, SYS_close) == "__x64_sys_close+13 " + rest);
  CHECK(look("do_sys_openat2", false, SYS_openat) == "do_sys_openat2+1 __x64_sys_openat+106 " + rest);
  CHECK(look("do_sys_openat2", true, SYS_creat) == "__x64_sys_creat+73 " + rest);
}

TEST_CASE("kernel stacks at process events") {
  StackWorld w;
  const std::string call = "do_syscall_64+93 entry_SYSCALL_64_after_hwframe+110 ",
                    leaving = "do_syscall_64+105 entry_SYSCALL_64_after_hwframe+110 ";
  auto fork = w.raw("sched_process_fork");
  auto exec = w.trace("sched", "sched_process_exec"), exit = w.trace("sched", "sched_process_exit");
  w.task.regs().orig_rax = SYS_clone3;
  w.probes.task_forked(w.task, 4242, false);
  CHECK(w.seen == "program bpf_trace_run2+74 kernel_clone+427 __do_sys_clone3+224 " + call);
  w.task.regs().orig_rax = SYS_execve;
  w.probes.task_executed(w.task, 1, "/dev/fd/3");
  CHECK(w.seen == "bprm_execve+1515 do_execveat_common.isra.0+429 __x64_sys_execveat+59 " + call);
  w.task.regs().orig_rax = SYS_exit_group;
  w.probes.task_exiting(w.task, 3 << 8);
  CHECK(w.seen == "do_exit+1281 do_group_exit+45 __x64_sys_exit_group+20 " + call);
  const std::string killed =
      "do_exit+1281 do_group_exit+45 get_signal+2437 arch_do_signal_or_restart+62 exit_to_user_mode_prepare+434 ";
  w.task.regs().orig_rax = SYS_pause;
  w.probes.task_exiting(w.task, SIGKILL);
  CHECK(w.seen == killed + "syscall_exit_to_user_mode+23 " + leaving);
  w.task.regs().orig_rax = ~u64{0};
  w.probes.task_exiting(w.task, SIGSEGV);
  CHECK(w.seen == killed + "irqentry_exit_to_user_mode+5 asm_exc_page_fault+34 ");
}

TEST_CASE("kernel stacks at signals") {
  StackWorld w;
  const std::string call = "do_syscall_64+93 entry_SYSCALL_64_after_hwframe+110 ";
  auto point = w.trace("signal", "signal_generate");
  w.task.regs().orig_rax = SYS_kill;
  w.probes.signal_generated(&w.task, {.signal = 9, .target = 1, .origin = SignalOrigin::kCall});
  CHECK(w.seen ==
        "__send_signal_locked+503 send_signal_locked+122 do_send_sig_info+89 kill_pid_info+149 kill_something_info+360 "
        "__x64_sys_kill+140 " +
            call);
  w.task.regs().orig_rax = SYS_exit_group;
  w.probes.signal_generated(&w.task, {.signal = SIGCHLD, .target = 1, .origin = SignalOrigin::kExit});
  CHECK(w.seen ==
        "__send_signal_locked+503 do_notify_parent+660 do_exit+2171 do_group_exit+45 __x64_sys_exit_group+20 " + call);
  CHECK(w.unmodelled.counts().empty());
  w.probes.signal_generated(nullptr, {.signal = SIGALRM, .code = SI_KERNEL, .target = 1});
  CHECK(w.seen == "-14");
  CHECK(w.unmodelled.counts().size() == 1);
}

TEST_CASE("kernel stacks where signals are delivered") {
  StackWorld w;
  auto point = w.trace("signal", "signal_deliver");
  const std::string way = "arch_do_signal_or_restart+62 exit_to_user_mode_prepare+434 ";
  const std::string leaving = "syscall_exit_to_user_mode+23 do_syscall_64+105 entry_SYSCALL_64_after_hwframe+110 ";
  PtRegs regs{};
  w.task.regs().orig_rax = SYS_pause;
  w.probes.signal_delivered(w.task, regs, {.signal = SIGUSR1});
  CHECK(w.seen == "get_signal+775 " + way + leaving);
  w.probes.signal_delivered(w.task, regs, {.signal = SIGKILL});
  CHECK(w.seen == "get_signal+1968 " + way + leaving);
  w.task.regs().orig_rax = ~u64{0};
  w.probes.signal_delivered(w.task, regs, {.signal = SIGSEGV, .code = 1});
  CHECK(w.seen == "get_signal+775 " + way + "irqentry_exit_to_user_mode+5 asm_exc_page_fault+34 ");
}

}  // namespace
}  // namespace bpfemu
