// SPDX-License-Identifier: Apache-2.0
// Calls that make tasks, or have a say in others.
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "emu/hook/capability_checks.h"
#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"
#include "emu/hook/task_name.h"

namespace bpfemu {

namespace {

constexpr u32 kAttachMode = 0x12;             // kernel: PTRACE_MODE_ATTACH_REALCREDS
constexpr u64 kAttach = 16, kSeize = 0x4206;  // PTRACE_*
constexpr s64 kRestart = -513;                // kernel: ERESTARTNOINTR

// What a task is copied from it still is when it is asked about (kernel: dup_task_struct).
u64 task_to_be(Transit& call) {
  ObjectSpace& objects = call.services().objects;
  const KernelStruct& type = objects.structure("task_struct");
  const u64 parent = call.services().task_struct(call.task().tid());
  const KernelObject copy = objects.object(type, "made by " + std::to_string(call.task().tid()));
  if (copy && parent)
    memcpy(reinterpret_cast<void*>(copy.address()), reinterpret_cast<const void*>(parent), type.size());
  return copy.address();
}

// kernel: kernel_clone_args.flags
u64 clone_flags(Transit& call) {
  constexpr u64 kVfork = CLONE_VFORK | CLONE_VM;
  u64 flags = 0;
  switch (call.number()) {
    case SYS_fork: return 0;
    case SYS_vfork: return kVfork;
    case SYS_clone3: return call.task().read(call.arg(0), &flags, sizeof flags) ? flags : 0;
    default: return static_cast<u32>(call.arg(0)) & ~u64{CSIGNAL};
  }
}

// struct kernel_clone_args; a stack that clone3 is given grows down from its end.
u64 clone_arguments(Transit& call, u64 flags) {
  const KernelObject args = local(call, "kernel_clone_args");
  args.set("flags", flags);
  args.set("exit_signal", s32{SIGCHLD});
  if (call.number() == SYS_clone) {
    args.set("exit_signal", static_cast<s32>(call.arg(0) & CSIGNAL));
    args.set("stack", call.arg(1));
    for (const char* member : {"parent_tid", "pidfd"}) args.set(member, call.arg(2));
    args.set("child_tid", call.arg(3));
    args.set("tls", call.arg(4));
  }
  clone_args given{};
  const size_t size = std::min<size_t>(call.arg(1), sizeof given);
  if (call.number() != SYS_clone3 || !call.task().read(call.arg(0), &given, size)) return args.address();
  args.set("exit_signal", static_cast<s32>(given.exit_signal));
  args.set("stack", given.stack ? given.stack + given.stack_size : 0);
  args.set("stack_size", given.stack_size);
  args.set("parent_tid", given.parent_tid);
  args.set("pidfd", given.pidfd);
  args.set("child_tid", given.child_tid);
  args.set("tls", given.tls);
  args.set("set_tid_size", given.set_tid_size);
  args.set("cgroup", static_cast<s32>(given.cgroup));
  return args.address();
}

// What copy_process() refuses before it copies anything.
bool is_possible(u64 flags) {
  const auto has = [flags](u64 all) { return (flags & all) == all; };
  if (has(CLONE_NEWNS | CLONE_FS) || has(CLONE_NEWUSER | CLONE_FS)) return false;
  if ((has(CLONE_THREAD) && !has(CLONE_SIGHAND)) || (has(CLONE_SIGHAND) && !has(CLONE_VM))) return false;
  return !(has(CLONE_THREAD) && flags & (CLONE_NEWUSER | CLONE_NEWPID | CLONE_PIDFD));
}

// kernel: prepare_kill_siginfo, do_tkill
u64 signal_info(Transit& call, int signal, bool to_thread) {
  struct KernelSigInfo {
    s32 signal, error, code, padding;
    s32 pid;
    u32 uid;
    u64 rest[3];
  };
  constexpr s32 kByUser = 0, kByTkill = -6;  // SI_*
  const auto facts = call.services().host.facts(call.task().tid());
  return call.place(KernelSigInfo{.signal = signal,
                                  .error = 0,
                                  .code = to_thread ? kByTkill : kByUser,
                                  .padding = 0,
                                  .pid = call.task().tgid(),
                                  .uid = facts ? facts->uid : 0,
                                  .rest = {}});
}

// kernel: __copy_siginfo_from_user
u64 queued_info(Transit& call, u64 user, int signal) {
  constexpr size_t kKernelInfo = 48;
  const u64 at = call.place_zeroed(kKernelInfo);
  if (at && call.task().read(user, reinterpret_cast<void*>(at), kKernelInfo))
    store(reinterpret_cast<void*>(at), s32{signal});
  return at;
}

// Who may not is refused before the modules are asked.
bool may_signal(Transit& call, pid_t target) {
  std::array<u64, 6> probe = call.args();
  switch (call.number()) {
    case SYS_rt_sigqueueinfo: return call.task().call(SYS_kill, {static_cast<u64>(target), 0}).has_value();
    case SYS_rt_tgsigqueueinfo: return call.task().call(SYS_tgkill, {probe[0], probe[1], 0}).has_value();
    case SYS_tgkill: probe[2] = 0; break;
    default: probe[1] = 0;
  }
  return call.task().call(call.number(), probe).has_value();
}

u64 task_of(Transit& call, pid_t tid) {
  return call.services().task_struct(tid ? tid : call.task().tid());
}

// A task that another may trace is asked about, if it is one.
void pass_access(Transit& call, pid_t tid) {
  if (tid <= 0 || tid == call.task().tid()) return;
  call.ask(Hook::security_ptrace_access_check, [&](Arguments& a) {
    a.lazily(0, [&] { return task_of(call, tid); });
    a[1] = kAttachMode;
  });
}

}  // namespace

// clone, clone3, fork, vfork
Path making_task(Transit& call) {
  const u64 flags = clone_flags(call);
  const bool possible = is_possible(flags);
  const Passing kernel_clone =
      call.enter(Hook::kernel_clone, [&](Arguments& a) { a.lazily(0, [&] { return clone_arguments(call, flags); }); });
  if (possible && flags & CLONE_NEWUSER) pass_new_user_namespace(call);
  if (possible) {
    call.enter(Hook::sched_fork,
               [&](Arguments& a) {
                 a[0] = flags;
                 a.lazily(1, [&] { return task_to_be(call); });
               })
        .leave(0);
    call.ask(Hook::security_task_alloc, [&](Arguments& a) {
      a.lazily(0, [&] { return task_to_be(call); });
      a[1] = flags;
    });
  }
  if (call.number() == SYS_clone) pass_own_checks(call);  // kernel: copy_namespaces
  const s64 result = co_await call.done();
  // A limit may have been reached before or behind the two, and a signal lets the call begin anew.
  const bool unsure = result == -EAGAIN || result == -ENOMEM || result == kRestart;
  if (possible && unsure && call.awaited(Hook::sched_fork))
    call.services().unmodelled.note("kprobe", "sched_fork of a fork that fails");
  kernel_clone.leave(result);
}

// kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo. Of several targets each is asked about by itself, which is not
// modelled.
Path killing(Transit& call) {
  pass_own_checks(call);
  const bool to_thread = call.number() != SYS_kill && call.number() != SYS_rt_sigqueueinfo;
  const bool queues = call.number() == SYS_rt_sigqueueinfo || call.number() == SYS_rt_tgsigqueueinfo;
  const u32 last = call.number() == SYS_tgkill || call.number() == SYS_rt_tgsigqueueinfo ? 1 : 0;
  const pid_t target = static_cast<pid_t>(call.arg(last));
  const int signal = static_cast<int>(call.arg(last + 1));
  const bool asks = call.awaited(Hook::security_task_kill) || call.decided(Hook::security_task_kill);
  if (target <= 0 || !asks) {
    if (!to_thread) call.untold(Hook::security_task_kill);
    co_return;
  }
  // Others are refused before.
  if (signal < 0 || signal > 64 || !may_signal(call, target)) co_return;
  call.ask(Hook::security_task_kill, [&](Arguments& a) {
    a.lazily(0, [&] { return task_of(call, target); });
    a.lazily(1, [&] {
      return queues ? queued_info(call, call.arg(last + 2), signal) : signal_info(call, signal, to_thread);
    });
    a[2] = static_cast<u32>(signal);
  });
}

// setpriority
Path setting_priority(Transit& call) {
  pass_own_checks(call);
  const pid_t target = static_cast<pid_t>(call.arg(1));
  const s32 nice = std::clamp(static_cast<s32>(call.arg(2)), -20, 19);
  if (call.arg(0) != PRIO_PROCESS) call.untold(Hook::security_task_setnice);
  if (call.arg(0) != PRIO_PROCESS || target < 0) co_return;
  call.ask(Hook::security_task_setnice, [&](Arguments& a) {
    a.lazily(0, [&] { return task_of(call, target); });
    a[1] = static_cast<u32>(nice);
  });
}

namespace {

// What the modules of Debian's list say of a prctl (kernel: cap_task_prctl, yama_task_prctl): most are none of theirs.
s64 security_answer(const Transit& call) {
  switch (static_cast<u32>(call.arg(0))) {
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
    case PR_SET_SECUREBITS:
    case PR_GET_SECUREBITS:
    case PR_GET_KEEPCAPS:
    case PR_SET_KEEPCAPS:
    case PR_CAP_AMBIENT:
    case PR_SET_PTRACER: return 0;
    default: return -ENOSYS;
  }
}

}  // namespace

// prctl
Path controlling_process(Transit& call) {
  call.ask_or(security_answer(call), Hook::security_task_prctl, [&](Arguments& a) {
    a[0] = static_cast<u32>(call.arg(0));
    for (u32 n = 1; n < 5; ++n) a[n] = call.arg(n);
  });
  pass_own_checks(call);
  pass_own_rename(call);
  co_return;
}

// ptrace, process_vm_readv, process_vm_writev
Path tracing(Transit& call) {
  if (call.number() != SYS_ptrace) return pass_access(call, static_cast<pid_t>(call.arg(0))), Path();
  pass_own_checks(call);
  const u64 request = call.arg(0);
  if (request == kAttach || request == kSeize) pass_access(call, static_cast<pid_t>(call.arg(1)));
  return {};
}

// bpf
Path controlling_bpf(Transit& call) {
  pass_own_checks(call);
  constexpr u64 kMost = 4096;
  const u64 size = static_cast<u32>(call.arg(2));
  if (size > kMost) co_return;
  call.ask(Hook::security_bpf, [&](Arguments& a) {
    a[0] = static_cast<u32>(call.arg(0));
    a.lazily(1, [&] {
      const u64 room = std::max<u64>(size, call.services().objects.structure("bpf_attr").size());
      const u64 copy = call.place_zeroed(std::min<u64>(room, kMost / 2));
      if (copy) (void)call.task().read(call.arg(1), reinterpret_cast<void*>(copy), std::min<u64>(size, kMost / 2));
      return copy;
    });
    a[2] = size;
  });
}

}  // namespace bpfemu
