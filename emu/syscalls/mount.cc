// SPDX-License-Identifier: Apache-2.0
// Mounting what tools mount: file systems of the claimed kernel, which the synthetic tree has.
#include <fcntl.h>

#include <algorithm>
#include <string_view>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

Reply enter_mount(System& system, Call& call) {
  static constexpr std::string_view modelled[] = {"bpf", "tracefs", "debugfs"};
  constexpr size_t max_type = 32;
  auto type = call.task.read_string(call.args[2], max_type);
  if (!type || std::find(std::begin(modelled), std::end(modelled), *type) == std::end(modelled)) return Reply::native();
  if (!system.capabilities(call.task).sys_admin) return Reply::native();
  auto text = read_path(call.task, call.args[1]);
  if (!text) return Reply::native();
  auto path = absolute_path(system, call.task, AT_FDCWD, *text);
  if (!path) return Reply::answer(-s64{path.error().value});
  return Reply::answer(system.vfs->mount(*type, *path));
}

}  // namespace bpfemu
