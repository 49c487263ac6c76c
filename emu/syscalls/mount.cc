// SPDX-License-Identifier: Apache-2.0
// Mounting what tools mount: file systems of the claimed kernel, which the synthetic tree has.
#include <fcntl.h>

#include <algorithm>
#include <string_view>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxType = 32;

bool is_cgroup(std::string_view type) {
  return type == "cgroup2" || type == "cgroup";
}

}  // namespace

Reply enter_mount(System& system, Call& call) {
  static constexpr std::string_view modelled[] = {"bpf", "tracefs", "debugfs"};
  auto type = call.task.read_string(call.args[2], kMaxType);
  if (type && is_cgroup(*type) && system.capabilities(call.task).sys_admin) return Reply::native_then_exit();
  if (!type || std::find(std::begin(modelled), std::end(modelled), *type) == std::end(modelled)) return Reply::native();
  if (!system.capabilities(call.task).sys_admin) return Reply::native();
  auto text = read_path(call.task, call.args[1]);
  if (!text) return Reply::native();
  auto path = absolute_path(system, call.task, AT_FDCWD, *text);
  if (!path) return Reply::answer(-s64{path.error().value});
  return Reply::answer(system.vfs->mount(*type, *path));
}

// The host's: what it refuses for want of privilege, root on the claimed kernel could.
s64 exit_mount(System& system, Call& call, s64 result) {
  auto type = call.task.read_string(call.args[2], kMaxType);
  if (result == -EPERM && type && is_cgroup(*type)) system.unmodelled.note("mounting " + *type);
  return result;
}

}  // namespace bpfemu
