// SPDX-License-Identifier: Apache-2.0
// A thread's debug registers: what it does at an address stops it with SIGTRAP.
#include <linux/hw_breakpoint.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include <cstddef>

#include "loader/task.h"

namespace bpfemu {

namespace {

constexpr size_t kStatus = 6, kControl = 7;

u64 place_of(size_t number) { return offsetof(struct user, u_debugreg) + number * sizeof(u64); }

// As DR7 has it: the kinds of access, and the lengths 1, 2, 8 and 4.
u64 control_of(const Watch& watch, size_t number) {
  constexpr u64 kExecute = 0, kWrite = 1, kAccess = 3;
  const u64 kind = watch.type == HW_BREAKPOINT_X ? kExecute : watch.type == HW_BREAKPOINT_W ? kWrite : kAccess;
  const u64 length = kind == kExecute || watch.length == 1 ? 0 : watch.length == 2 ? 1 : watch.length == 8 ? 2 : 3;
  return (length << 2 | kind) << (16 + 4 * number) | u64{1} << (2 * number);
}

}  // namespace

Result<void> TracedTask::set_debug_register(size_t number, u64 value) {
  TRY(env_.os.ptrace(PTRACE_POKEUSER, tid_, place_of(number), value));
  return {};
}

Result<void> TracedTask::watch(const Watches& watches) {
  TRY(set_debug_register(kControl, 0));
  u64 control = 0;
  for (size_t i = 0; i < watches.size(); ++i) {
    TRY(set_debug_register(i, watches[i].address));
    control |= control_of(watches[i], i);
  }
  return set_debug_register(kControl, control);
}

Result<u32> TracedTask::take_watched() {
  u64 status = 0;
  TRY(env_.os.ptrace(PTRACE_PEEKUSER, tid_, place_of(kStatus), reinterpret_cast<u64>(&status)));
  TRY(set_debug_register(kStatus, 0));
  return static_cast<u32>(status) & ((1u << kDebugRegisters) - 1);
}

}  // namespace bpfemu
