// SPDX-License-Identifier: Apache-2.0
#include <sys/syscall.h>

#include <algorithm>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

Reply read_target(System&, Call& call, const Target& target) {
  size_t first = call.number == SYS_readlink ? 1 : 2;
  std::string text;
  if (target.descriptor) {
    if (target.descriptor->info) return Reply::native();
    text = target.descriptor->file->link_name();
  } else if (const LinkNode* link = target.found.link()) {
    text = link->target();
  } else {
    return Reply::answer(-EINVAL);
  }
  int size = static_cast<int>(call.args[first + 1]);
  if (size <= 0) return Reply::answer(-EINVAL);
  u64 copied = std::min<u64>(text.size(), static_cast<u64>(size));
  auto written = call.task.write(call.args[first], text.data(), copied);
  return written ? Reply::answer(static_cast<s64>(copied)) : Reply::answer(written);
}

}  // namespace

Reply enter_readlink(System& system, Call& call) {
  PathArgument path = call.number == SYS_readlink ? PathArgument{-1, 0} : PathArgument{0, 1};
  return on_target(system, call, path, false, read_target);
}

}  // namespace bpfemu
