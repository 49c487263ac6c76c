// SPDX-License-Identifier: Apache-2.0
// Descriptors that go. What hangs on the last copy of a carrier is undone before the call returns, as in the kernel: a
// probe does not fire any longer, its reference counter is counted down, its event can be removed.
#include <sys/syscall.h>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/map_mmap.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

// The descriptor that the call closes, if it is one alone.
int closed_fd(const Call& call) {
  return static_cast<int>(call.number == SYS_close ? call.args[0] : call.args[1]);
}

}  // namespace

Reply enter_close(System& system, Call& call) {
  const bool many = call.number == SYS_close_range;
  if (!many) close_in_cgroup(system, call.task, closed_fd(call));
  const auto file = many ? nullptr : system.files.ours(call.task, closed_fd(call));
  if (!many && !file) return Reply::native();
  // What was unmapped before goes with the descriptor.
  if (many || system.files.holds(*file)) release_unmapped(system);
  return Reply::native_then_exit();
}

s64 exit_close(System& system, Call&, s64 result) {
  system.files.reap();
  return result;
}

}  // namespace bpfemu
