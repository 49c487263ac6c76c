// SPDX-License-Identifier: Apache-2.0
// Descriptors that go. What hangs on the last copy of a carrier is undone before the call returns, as in the kernel: a
// probe does not fire any longer, its reference counter is counted down, its event can be removed.
#include <sys/syscall.h>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

// The descriptor that the call closes, if it is one alone.
int closed_fd(const Call& call) {
  return static_cast<int>(call.number == SYS_close ? call.args[0] : call.args[1]);
}

}  // namespace

Reply enter_close(System& system, Call& call) {
  if (call.number != SYS_close_range) close_in_cgroup(system, call.task, closed_fd(call));
  const bool concerned = call.number == SYS_close_range || system.files.ours(call.task, closed_fd(call));
  return concerned ? Reply::native_then_exit() : Reply::native();
}

s64 exit_close(System& system, Call&, s64 result) {
  system.files.reap();
  return result;
}

}  // namespace bpfemu
