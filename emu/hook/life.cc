// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/life.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "emu/base/proc_files.h"
#include "emu/hook/binprm.h"
#include "emu/hook/exec_mappings.h"
#include "emu/hook/record.h"
#include "emu/hook/scheduler.h"
#include "emu/hook/task_name.h"
#include "emu/hook/thread_words.h"

namespace bpfemu {

namespace {

// As far as signals that we report fill it in.
struct SigInfo {
  s32 signal, error, code, pad;
  u64 fields[14];
};
// struct k_sigaction.
struct SigAction {
  u64 handler, flags, restorer, mask;
};

TaskFacts facts_of(const Occasion& occasion, pid_t tid) {
  return occasion.services().host.facts(tid).value_or(TaskFacts{});
}

// kernel: kernel_clone_args
struct CloneArguments {
  u64 flags = 0, child_tid = 0;
};

// clone3 is run as clone where that can do it.
CloneArguments clone_arguments(const Event& event) {
  constexpr u64 kSignalBits = 0xff;
  const PtRegs& regs = *event.regs;
  switch (static_cast<long>(regs.orig_rax)) {
    case SYS_vfork: return {CLONE_VFORK | CLONE_VM};
    case SYS_clone: return {regs.rdi & ~kSignalBits, regs.r10};
    case SYS_clone3: {
      clone_args given = {};
      if (!event.task->read(regs.rdi, &given, offsetof(clone_args, parent_tid))) return {};
      return {given.flags, given.child_tid};
    }
    default: return {};
  }
}

s64 oom_score_adj(pid_t tid) {
  const auto text = read_proc(tid, "oom_score_adj");
  return text ? ::strtol(text->c_str(), nullptr, 10) : 0;
}

}  // namespace

void pass_fork(Occasion& occasion, pid_t child) {
  const pid_t parent = occasion.task().tid();
  const auto [flags, child_tid] = clone_arguments(occasion.event());
  const auto child_task = [&] { return occasion.services().task_struct(child); };
  if (occasion.awaited(Hook::do_futex))
    occasion.services().thread_words.set(child, flags & CLONE_CHILD_CLEARTID ? child_tid : 0);
  occasion.trace(
      Hook::trace_task_newtask,
      [&](Arguments& a) {
        a.lazily(0, child_task);
        a[1] = flags;
      },
      [&](Record& r) {
        r.set("pid", child);
        r.comm("comm", facts_of(occasion, parent));
        r.set("clone_flags", flags);
        r.set("oom_score_adj", oom_score_adj(parent));
      });
  occasion.trace(
      Hook::trace_sched_process_fork,
      [&](Arguments& a) {
        a.lazily(0, [&] { return occasion.services().task_struct(parent); });
        a.lazily(1, [&] { return occasion.services().task_struct(child); });
      },
      [&](Record& r) {
        const TaskFacts facts = facts_of(occasion, parent);
        r.comm("parent_comm", facts);
        r.set("parent_pid", parent);
        r.comm("child_comm", facts);  // a child starts with its parent's
        r.set("child_pid", child);
      });
  const std::function<long()> awaited = [&] { return occasion.event().number | kAwaited; };
  Event begun = occasion.event();
  if (flags & CLONE_VFORK) begun.route = &awaited;
  Occasion beginning(occasion, begun);
  Scheduler(beginning).began(child);
}

// What the new program finds on its stack: argc, the arguments, the variables.
static u32 count_on_stack(Task& task, u64 at) {
  constexpr u32 kMost = 1 << 20;
  u32 n = 0;
  for (u64 text = 0; n < kMost && task.read(at + n * sizeof text, &text, sizeof text) && text;) ++n;
  return n;
}

static u64 new_binprm(Occasion& occasion, const std::string& filename) {
  const u64 stack = occasion.event().regs->rsp;
  const u32 arguments = count_on_stack(occasion.task(), stack + sizeof(u64));
  const u32 variables = count_on_stack(occasion.task(), stack + (u64{arguments} + 2) * sizeof(u64));
  const auto file = occasion.services().mounts.describe_link(occasion.task().tgid(), "exe");
  return place_binprm(occasion, {.filename = filename,
                                 .interpreter = filename,
                                 .file = file ? &*file : nullptr,
                                 .arguments = arguments,
                                 .variables = variables,
                                 .has_memory = true});
}

// kernel: begin_new_exec. Nobody can stop it any longer.
static void pass_new_credentials(Occasion& occasion, const std::string& filename) {
  auto binprm = [&](Arguments& a) {
    a.lazily(0, [&] { return new_binprm(occasion, filename); });
  };
  occasion.ask(Hook::security_bprm_committing_creds, binprm);
  occasion.ask(Hook::security_bprm_committed_creds, binprm);
}

void pass_exec(Occasion& occasion, pid_t old_tid, const std::string& filename, const std::optional<TaskFacts>& before) {
  const pid_t tid = occasion.task().tid();
  if (occasion.awaited(Hook::filp_close)) occasion.services().unmodelled.note("kprobe", "filp_close at exec");
  if (before) {
    TaskFacts task = facts_of(occasion, tid);
    std::memcpy(task.comm, before->comm, sizeof task.comm);
    pass_rename(occasion, task, filename.substr(filename.rfind('/') + 1), true);
  }
  pass_new_credentials(occasion, filename);
  pass_exec_mappings(occasion);
  occasion.trace(
      Hook::trace_sched_process_exec,
      [&](Arguments& a) {
        a.lazily(0, [&] { return occasion.services().task_struct(tid); });
        a[1] = static_cast<u64>(s64{old_tid});
        a.lazily(2, [&] { return new_binprm(occasion, filename); });
      },
      [&](Record& r) {
        if (filename.empty()) occasion.services().unmodelled.note("the file name of a program whose memory may not be read");
        r.text("filename", filename);
        r.set("pid", tid);
        r.set("old_pid", old_tid);
      });
}

// What do_exit() has set before it tells.
static u64 task_that_exits(const Occasion& occasion) {
  constexpr u32 kExiting = 4, kPostCoreDump = 8, kSignaled = 0x400;  // kernel: PF_*
  const HookServices& services = occasion.services();
  const u64 task = services.task_struct(occasion.task().tid());
  const u64 flags = task ? KernelObject(task, services.objects.structure("task_struct")).address("flags") : 0;
  if (flags) {
    void* at = reinterpret_cast<void*>(flags);
    const bool signaled = WIFSIGNALED(facts_of(occasion, occasion.task().tid()).exit_code);
    store(at, load<u32>(at) | kExiting | kPostCoreDump | (signaled ? kSignaled : 0));
  }
  return task;
}

// What do_group_exit() is called with: whom another thread or a plain deadly signal ends gets SIGKILL (kernel:
// complete_signal, zap_other_threads), and one that dumps core its own.
static u64 group_exit_code(Occasion& occasion) {
  constexpr u64 kDumps = u64{1} << SIGQUIT | u64{1} << SIGILL | u64{1} << SIGTRAP | u64{1} << SIGABRT | u64{1} << SIGFPE |
                         u64{1} << SIGSEGV | u64{1} << SIGBUS | u64{1} << SIGSYS | u64{1} << SIGXCPU | u64{1} << SIGXFSZ;
  const Event& event = occasion.event();
  if (event.number == SYS_exit_group) return (event.regs->rdi & 0xff) << 8;
  const int status = static_cast<int>(event.result);
  if (!WIFSIGNALED(status) || !(kDumps >> WTERMSIG(status) & 1)) return SIGKILL;
  const std::string text = read_proc(event.task->tid(), "status").value_or("");
  if (status_field(text, "Threads", 10) > 1)
    occasion.services().unmodelled.note("kprobe", "do_group_exit of threads that a fault ends");
  return static_cast<u64>(WTERMSIG(status));
}

// The other threads of the process that have not ended.
static std::vector<pid_t> siblings_of(const Occasion& occasion) {
  std::vector<pid_t> threads = occasion.services().host.threads();
  std::erase_if(threads, [&](pid_t tid) {
    const Task* const other = occasion.services().host.find_task(tid);
    return !other || other == &occasion.task() || other->tgid() != occasion.task().tgid() || !other->memory_id();
  });
  return threads;
}

// How many of them wait for the word.
static s64 waiters_among(const std::vector<pid_t>& threads, u64 word) {
  s64 found = 0;
  for (const pid_t tid : threads) {
    unsigned long number = 0, at = 0;
    const std::string call = read_proc(tid, "syscall").value_or("");
    if (::sscanf(call.c_str(), "%lu %lx", &number, &at) == 2 && number == SYS_futex && at == word) ++found;
  }
  return found;
}

// kernel: mm_release. Memory that nobody shares is not looked at any more.
static void pass_cleared_word(Occasion& occasion) {
  const Task& task = occasion.task();
  const auto word = occasion.services().thread_words.take(task.tid());
  if (!occasion.awaited(Hook::do_futex)) return;
  const auto siblings = siblings_of(occasion);
  if (siblings.empty()) return;
  if (!word) occasion.services().unmodelled.note("kprobe", "do_futex at the end of a thread that was there before");
  if (!word || !*word) return;
  constexpr u64 kWake = 1;
  occasion.enter(Hook::do_futex,
                 [&](Arguments& a) {
                   a[0] = *word;
                   a[1] = kWake;
                   a[2] = 1;
                 })
      .leave(std::min<s64>(waiters_among(siblings, *word), 1));
}

static void pass_do_exit(Occasion& occasion) {
  if (occasion.event().number != SYS_exit)
    occasion.enter(Hook::do_group_exit, [&](Arguments& a) { a[0] = group_exit_code(occasion); });
  occasion.enter(Hook::do_exit, [&](Arguments& a) { a[0] = static_cast<u64>(occasion.event().result); });
}

void pass_exit(Occasion& occasion) {
  pass_do_exit(occasion);
  if (occasion.awaited(Hook::filp_close)) occasion.services().unmodelled.note("kprobe", "filp_close of what is open at exit");
  pass_cleared_word(occasion);
  const pid_t tid = occasion.task().tid();
  occasion.trace(
      Hook::trace_sched_process_exit,
      [&](Arguments& a) { a.lazily(0, [&] { return task_that_exits(occasion); }); },
      [&](Record& r) {
        const TaskFacts facts = facts_of(occasion, tid);
        r.comm("comm", facts);
        r.set("pid", tid);
        r.set("prio", facts.priority);
      });
  Scheduler(occasion).ended();
}

void pass_release(Occasion& occasion, u64 task_struct) {
  occasion.enter(Hook::exit_creds, [&](Arguments& a) { a[0] = task_struct; }).leave(0);
}

void pass_attaching(Occasion& occasion, const std::function<u64()>& cgroup, pid_t leader) {
  occasion
      .enter(Hook::cgroup_attach_task,
             [&](Arguments& a) {
               a.lazily(0, cgroup);
               a.lazily(1, [&] { return occasion.services().task_struct(leader); });
               a[2] = 1;  // all its threads
             })
      .leave(0);
}

// Signals that the kernel sends by do_send_sig_info; faults, children's ends and timers of processes go other ways.
static bool is_sent(const GeneratedSignal& signal) {
  if (signal.origin == SignalOrigin::kFault || signal.origin == SignalOrigin::kExit ||
      signal.origin == SignalOrigin::kLastThread)
    return false;
  return signal.code != SI_TIMER && !(signal.signal == SIGCHLD && signal.code > 0);
}

static u64 signal_info(Occasion& occasion, const GeneratedSignal& signal) {
  SigInfo info{signal.signal, signal.error, signal.code, 0, {}};
  if (signal.code <= 0 && occasion.event().task) {
    const TaskFacts sender = facts_of(occasion, occasion.task().tid());
    info.fields[0] = static_cast<u32>(sender.local_tgid) | u64{sender.uid} << 32;
  }
  return occasion.place(info);
}

void pass_signal(Occasion& occasion, const GeneratedSignal& signal) {
  // A thread's own SIGPIPE comes without (kernel: SEND_SIG_NOINFO).
  const bool by_kernel = !signal.group && signal.origin == SignalOrigin::kOther;
  const auto info = [&] { return by_kernel ? 0 : signal_info(occasion, signal); };
  const auto target = [&] { return occasion.services().task_struct(signal.target); };
  const Passing sending = !is_sent(signal) ? Passing() : occasion.enter(Hook::do_send_sig_info, [&](Arguments& a) {
    a[0] = static_cast<u64>(s64{signal.signal});
    a.lazily(1, info);
    a.lazily(2, target);
    a[3] = signal.group;  // PIDTYPE_TGID, PIDTYPE_PID
  });
  occasion.trace(
      Hook::trace_signal_generate,
      [&](Arguments& a) {
        a[0] = static_cast<u64>(s64{signal.signal});
        a.lazily(1, info);
        a.lazily(2, target);
        a[3] = signal.group;
        a[4] = static_cast<u64>(s64{signal.outcome});
      },
      [&](Record& r) {
        r.set("sig", signal.signal);
        r.set("errno", signal.error);
        r.set("code", signal.code);
        r.text("comm", signal.comm);
        r.set("pid", signal.target);
        r.set("group", signal.group);
        r.set("result", signal.outcome);
      });
  sending.leave(0);
}

void pass_delivery(Occasion& occasion, const DeliveredSignal& signal) {
  const bool by_end = signal.signal == SIGKILL;  // kernel: SEND_SIG_NOINFO
  occasion.trace(
      Hook::trace_signal_deliver,
      [&](Arguments& a) {
        a[0] = static_cast<u64>(s64{signal.signal});
        a.lazily(1, [&] {
          return by_end ? 0 : occasion.place(SigInfo{signal.signal, signal.error, signal.code, 0, {}});
        });
        a.lazily(2, [&] {
          return occasion.place(SigAction{signal.handler, signal.flags, signal.restorer, signal.mask});
        });
      },
      [&](Record& r) {
        r.set("sig", signal.signal);
        r.set("errno", signal.error);
        r.set("code", signal.code);
        r.set("sa_handler", signal.handler);
        r.set("sa_flags", signal.flags);
      });
}

}  // namespace bpfemu
