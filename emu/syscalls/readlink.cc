// SPDX-License-Identifier: Apache-2.0
#include <sys/syscall.h>

#include <algorithm>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

Reply read_target(System&, Call& call, const Found& target) {
  size_t first = call.number == SYS_readlink ? 1 : 2;
  int size = static_cast<int>(call.args[first + 1]);
  const LinkNode* link = target.link();
  if (!link || size <= 0) return Reply::answer(-EINVAL);
  u64 copied = std::min<u64>(link->target().size(), static_cast<u64>(size));
  auto written = call.task.write(call.args[first], link->target().data(), copied);
  return written ? Reply::answer(static_cast<s64>(copied)) : Reply::answer(written);
}

}  // namespace

Reply enter_readlink(System& system, Call& call) {
  PathArgument path;
  if (call.number == SYS_readlinkat) path = {.directory = 0, .path = 1};
  auto text = read_path(call.task, call.args[static_cast<size_t>(path.path)]);
  if (!text || !text->empty() || path.directory < 0) return on_target(system, call, path, {.follow = false}, read_target);
  // An empty path means a link that is open by its path alone.
  Found found = find_descriptor(system, call.task, directory_of(call, path));
  if (!found.ours()) return Reply::native();
  return found.link() ? read_target(system, call, found) : Reply::answer(-ENOENT);
}

}  // namespace bpfemu
