// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/life.h"

#include "emu/hook/record.h"

namespace bpfemu {

namespace {

constexpr s32 kDefaultPriority = 120;

// As far as signals that we report fill it in.
struct SigInfo {
  s32 signal, error, code, pad;
  u64 fields[14];
};

TaskFacts facts_of(const Occasion& occasion, pid_t tid) {
  return occasion.services().host.facts(tid).value_or(TaskFacts{});
}

std::string_view comm_of(const TaskFacts& facts) { return {facts.comm, strnlen(facts.comm, sizeof facts.comm)}; }

}  // namespace

void pass_fork(Occasion& occasion, pid_t child) {
  const pid_t parent = occasion.task().tid();
  occasion.trace(
      Hook::trace_sched_process_fork,
      [&](Arguments& a) {
        a.lazily(0, [&] { return occasion.services().task_struct(parent); });
        a.lazily(1, [&] { return occasion.services().task_struct(child); });
      },
      [&](Record& r) {
        const TaskFacts facts = facts_of(occasion, parent);
        r.text("parent_comm", comm_of(facts));
        r.set("parent_pid", parent);
        r.text("child_comm", comm_of(facts));  // a child starts with its parent's
        r.set("child_pid", child);
      });
}

void pass_exec(Occasion& occasion, pid_t old_tid, const std::string& filename) {
  const pid_t tid = occasion.task().tid();
  occasion.trace(
      Hook::trace_sched_process_exec,
      [&](Arguments& a) {
        a.lazily(0, [&] { return occasion.services().task_struct(tid); });
        a[1] = static_cast<u64>(s64{old_tid});
        a.lazily(2, [&]() -> u64 {
          occasion.services().unmodelled.note("struct linux_binprm of sched_process_exec");
          return 0;
        });
      },
      [&](Record& r) {
        if (filename.empty()) occasion.services().unmodelled.note("the file name of a program whose memory may not be read");
        r.text("filename", filename);
        r.set("pid", tid);
        r.set("old_pid", old_tid);
      });
}

void pass_exit(Occasion& occasion) {
  const pid_t tid = occasion.task().tid();
  occasion.trace(
      Hook::trace_sched_process_exit,
      [&](Arguments& a) { a.lazily(0, [&] { return occasion.services().task_struct(tid); }); },
      [&](Record& r) {
        const TaskFacts facts = facts_of(occasion, tid);
        r.text("comm", comm_of(facts));
        r.set("pid", tid);
        r.set("prio", facts.tid ? static_cast<s32>(facts.priority) : kDefaultPriority);
      });
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
