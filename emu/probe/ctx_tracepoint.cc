// SPDX-License-Identifier: Apache-2.0
// Records of trace events (kernel: include/trace/events/, kernel/trace/trace_syscalls.c).
#include <algorithm>
#include <cstring>

#include "emu/hook/record.h"
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// common_type, common_flags, common_preempt_count, common_pid. No program can read them; in the kernel the address of
// the registers lies there meanwhile, here whether these are the user's (see help_perf_event_output).
constexpr size_t kCommon = 8;

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
template <class T>
T& record(void* memory) {
  return *new (memory) T{};
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

void* hook_record(Probes&, const Event& event, const Point& point, void* memory) {
  memset(memory, 0, kContextSize);
  Record record(*point.where().layout, memory, kContextSize);
  (*event.fields)(record);
  return memory;
}

}  // namespace bpfemu
