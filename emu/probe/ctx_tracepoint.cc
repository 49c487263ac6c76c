// SPDX-License-Identifier: Apache-2.0
// Records of trace events (kernel: include/trace/events/, kernel/trace/trace_syscalls.c).
#include <algorithm>
#include <cstring>

#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// common_type, common_flags, common_preempt_count, common_pid. No program can read them; in the kernel the address of
// the registers lies there meanwhile, here whether these are the user's (see help_perf_event_output).
constexpr size_t kCommon = 8;
constexpr int kDefaultPriority = 120;

struct SysEnterRecord {
  u8 common[kCommon];
  u64 number;  // an int in the syscalls events, a long in raw_syscalls
  u64 args[6];
};
struct SysExitRecord {
  u8 common[kCommon];
  u64 number;
  s64 result;
};
struct ForkRecord {
  u8 common[kCommon];
  char parent_comm[16];
  s32 parent_pid;
  char child_comm[16];
  s32 child_pid;
};
struct ExecRecord {
  u8 common[kCommon];
  u32 filename;  // __data_loc: length << 16 | offset
  s32 pid, old_pid;
  char data[kContextSize - 20];
};
struct ExitRecord {
  u8 common[kCommon];
  char comm[16];
  s32 pid, priority;
};
struct SignalRecord {
  u8 common[kCommon];
  s32 signal, error, code;
  char comm[16];
  s32 pid, group, result;
};
static_assert(offsetof(ExecRecord, data) == 20 && sizeof(SignalRecord) == 48 && sizeof(ForkRecord) == 48);

template <class T>
T& record(void* memory) {
  return *new (memory) T{};
}

TaskFacts facts_of(Probes& probes, pid_t tid) {
  return probes.host().facts(tid).value_or(TaskFacts{});
}

void copy_comm(char (&to)[16], const char* from) {
  if (from) memcpy(to, from, strnlen(from, sizeof to - 1));
}

}  // namespace

void* sys_enter_record(Probes&, const Event& event, const Point& point, void* memory) {
  auto& to = record<SysEnterRecord>(memory);
  to.common[0] = point.where().in_user();
  to.number = static_cast<u64>(event.number);
  auto args = syscall_arguments(*event.regs);
  std::ranges::copy(args, to.args);
  return &to;
}

void* sys_exit_record(Probes&, const Event& event, const Point& point, void* memory) {
  auto& to = record<SysExitRecord>(memory);
  to.common[0] = point.where().in_user();
  to.number = static_cast<u64>(event.number);
  to.result = event.result;
  return &to;
}

void* process_fork_record(Probes& probes, const Event& event, const Point&, void* memory) {
  auto& to = record<ForkRecord>(memory);
  TaskFacts parent = facts_of(probes, event.task->tid());
  copy_comm(to.parent_comm, parent.comm);
  copy_comm(to.child_comm, parent.comm);  // a child starts with its parent's
  to.parent_pid = event.task->tid();
  to.child_pid = event.other;
  return &to;
}

void* process_exec_record(Probes& probes, const Event& event, const Point&, void* memory) {
  auto& to = record<ExecRecord>(memory);
  if (!*event.text) probes.unmodelled().note("the file name of a program whose memory may not be read");
  size_t length = std::min(strlen(event.text), sizeof to.data - 1);
  memcpy(to.data, event.text, length);
  to.filename = static_cast<u32>((length + 1) << 16 | offsetof(ExecRecord, data));
  to.pid = event.task->tid();
  to.old_pid = event.other;
  return &to;
}

void* process_exit_record(Probes& probes, const Event& event, const Point&, void* memory) {
  auto& to = record<ExitRecord>(memory);
  TaskFacts task = facts_of(probes, event.task->tid());
  copy_comm(to.comm, task.comm);
  to.pid = event.task->tid();
  to.priority = task.tid ? static_cast<s32>(task.priority) : kDefaultPriority;
  return &to;
}

void* signal_generate_record(Probes&, const Event& event, const Point&, void* memory) {
  auto& to = record<SignalRecord>(memory);
  to.signal = event.signal;
  to.error = event.error;
  to.code = event.code;
  copy_comm(to.comm, event.text);
  to.pid = event.other;
  to.group = event.group;
  to.result = event.outcome;
  return &to;
}

}  // namespace bpfemu
