// SPDX-License-Identifier: Apache-2.0
// Objects with names: BPF_OBJ_PIN and BPF_OBJ_GET.
#include <fcntl.h>
#include <unistd.h>

#include "emu/syscalls/bpf.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

constexpr u32 kFdFlags = BPF_F_RDONLY | BPF_F_WRONLY;  // BPF_OBJ_FLAG_MASK

// What can be pinned, as user space holds it: EINVAL for everything else, even a closed descriptor (kernel:
// bpf_fd_probe_obj).
Result<std::shared_ptr<Object>> pinnable(BpfCall& call, u32 fd) {
  if (auto map = call.map(fd)) return std::static_pointer_cast<Object>(hold_map(*map));
  if (auto program = call.program(fd)) return std::static_pointer_cast<Object>(*program);
  if (auto link = call.link(fd)) return std::static_pointer_cast<Object>(*link);
  return fail(EINVAL);
}

}  // namespace

Result<u64> obj_pin(BpfCall& call) {
  if (call.attr.file_flags) return fail(EINVAL);
  auto object = TRY(pinnable(call, call.attr.bpf_fd));
  std::string path = TRY(read_path(call.task, call.attr.pathname));
  Parent at = TRY(find_parent(call.system, call.task, AT_FDCWD, path));
  TRY(call.system.vfs->pin(call.system.credentials(call.task), at, std::move(object)));
  return 0;
}

Result<u64> obj_get(BpfCall& call) {
  if (call.attr.bpf_fd || (call.attr.file_flags & ~kFdFlags)) return fail(EINVAL);
  u32 flags = TRY(open_flag(call.attr.file_flags));
  int mask = flags == O_RDONLY ? R_OK : flags == O_WRONLY ? W_OK : R_OK | W_OK;
  std::string path = TRY(read_path(call.task, call.attr.pathname));
  Found found = TRY(find(call.system, call.task, AT_FDCWD, path));
  auto object = TRY(call.system.vfs->pinned(call.system.credentials(call.task), found, mask));
  switch (object->kind()) {
    case ObjectKind::kMap: return install_map(call, TRY(call.system.maps.find(object->id())), flags);
    case ObjectKind::kProgram: return call.install(std::make_shared<ProgramFile>(TRY(call.system.programs.find(object->id()))));
    case ObjectKind::kLink:
      if (flags != O_RDWR) return fail(EINVAL);
      return call.install(std::make_shared<LinkFile>(std::static_pointer_cast<Link>(object), false));
    default: return fail(EACCES);
  }
}

}  // namespace bpfemu
