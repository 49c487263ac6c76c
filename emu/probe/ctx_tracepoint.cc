// SPDX-License-Identifier: Apache-2.0
// Records of trace events (kernel: include/trace/events/, kernel/trace/trace_syscalls.c).
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/hook/record.h"
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// common_type, common_flags, common_preempt_count, common_pid. No program can read them; in the kernel the address of
// the registers lies there meanwhile, here whether these are the user's (see help_perf_event_output), and the record's size.
constexpr size_t kCommon = 8, kSizeAt = 4;

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
  store(to.common + kSizeAt, std::max<u32>(point.where().record_size, offsetof(SysEnterRecord, args)));
  return &to;
}

void* sys_exit_record(Probes&, const Event& event, const Point& point, void* memory) {
  // sigreturn leaves no number behind (kernel: restore_sigcontext), and what has none is no syscalls:* event.
  const bool numbered = event.number != SYS_rt_sigreturn;
  if (!numbered && point.where().in_user()) return nullptr;
  auto& to = record<SysExitRecord>(memory);
  to.common[0] = point.where().in_user();
  to.number = numbered ? static_cast<u64>(event.number) : ~u64{0};
  to.result = event.result;
  store(to.common + kSizeAt, static_cast<u32>(sizeof to));
  return &to;
}

void* hook_record(Probes&, const Event& event, const Point& point, void* memory) {
  memset(memory, 0, kContextSize);
  Record record(*point.where().layout, memory, kContextSize);
  (*event.fields)(record);
  store(static_cast<u8*>(memory) + kSizeAt, record.size());
  return memory;
}

u32 record_bytes(const void* context) {
  return std::min<u32>(load<u32>(static_cast<const u8*>(context) + kSizeAt), kContextSize);
}

}  // namespace bpfemu
