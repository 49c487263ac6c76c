// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/life.h"

#include <sched.h>

#include <cstring>

#include "emu/base/proc_files.h"
#include "emu/hook/binprm.h"
#include "emu/hook/record.h"
#include "emu/hook/scheduler.h"
#include "emu/hook/task_name.h"

namespace bpfemu {

namespace {


// As far as signals that we report fill it in.
struct SigInfo {
  s32 signal, error, code, pad;
  u64 fields[14];
};

TaskFacts facts_of(const Occasion& occasion, pid_t tid) {
  return occasion.services().host.facts(tid).value_or(TaskFacts{});
}

// kernel: kernel_clone_args.flags. clone3 is made as clone here.
u64 clone_flags(const Event& event) {
  constexpr u64 kSignalBits = 0xff;
  if (event.number == SYS_vfork) return CLONE_VFORK | CLONE_VM;
  return event.number == SYS_clone || event.number == SYS_clone3 ? event.regs->rdi & ~kSignalBits : 0;
}

s64 oom_score_adj(pid_t tid) {
  const auto text = read_proc(tid, "oom_score_adj");
  return text ? ::strtol(text->c_str(), nullptr, 10) : 0;
}

}  // namespace

void pass_fork(Occasion& occasion, pid_t child) {
  const pid_t parent = occasion.task().tid();
  const u64 flags = clone_flags(occasion.event());
  const auto child_task = [&] { return occasion.services().task_struct(child); };
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
  Scheduler(occasion).began(child);
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

void pass_exit(Occasion& occasion) {
  if (occasion.awaited(Hook::filp_close)) occasion.services().unmodelled.note("kprobe", "filp_close of what is open at exit");
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

void pass_signal(Occasion& occasion, const GeneratedSignal& signal) {
  occasion.trace(
      Hook::trace_signal_generate,
      [&](Arguments& a) {
        a[0] = static_cast<u64>(s64{signal.signal});
        a.lazily(1, [&] { return occasion.place(SigInfo{signal.signal, signal.error, signal.code, 0, {}}); });
        a.lazily(2, [&] { return occasion.services().task_struct(signal.target); });
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
}

}  // namespace bpfemu
