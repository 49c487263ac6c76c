// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/changes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bpfemu {

void pass_change(Transit& call, const FileFacts& file, const Change& change) {
  auto dentry = [&] { return call.services().files.dentry(file).address(); };
  auto attributes = [&] {
    const KernelObject iattr = local(call, "iattr");
    iattr.set("ia_valid", change.valid | (change.file ? kAttrFile : 0));
    iattr.set("ia_mode", static_cast<u16>(change.mode));
    iattr.set("ia_uid", change.uid);
    iattr.set("ia_gid", change.gid);
    iattr.set("ia_size", change.size);
    if (change.file) iattr.set("ia_file", change.file());
    return iattr.address();
  };
  call.ask(
      Hook::security_inode_setattr,
      [&](Arguments& a) {
        a.lazily(0, [&] { return mount_user_namespace(call); });
        a.lazily(1, dentry);
        a.lazily(2, attributes);
      },
      [&](Arguments& a) {
        a.lazily(0, dentry);
        a.lazily(1, attributes);
      });
}

u64 path_of(Occasion& on, const FileFacts& file) {
  const KernelObject path = local(on, "path");
  if (path) on.services().files.set_path(path, "mnt", "dentry", file);
  return path.address();
}

bool allows(Transit& call, u64 folder, u64 path, int mode) {
  return call.task().call(SYS_faccessat2, {folder, path, static_cast<u64>(mode), AT_EACCESS}).has_value();
}

// A folder that only a link at the end leads to is the host's to judge.
bool folder_allows(Transit& call, const Lookup& at) {
  std::string_view path = at.path();
  path = path.substr(0, path.find_last_not_of('/') + 1);
  if (!path.ends_with(at.last())) return true;
  path.remove_suffix(at.last().size());
  const std::string folder = std::string(path) + ".";
  const auto room = call.task().scratch(folder.size() + 1);
  if (!room || !call.task().write(*room, folder.c_str(), folder.size() + 1)) return true;
  return allows(call, at.from(), *room, W_OK | X_OK);
}

int next_descriptor(pid_t tid) {
  struct stat st;
  int fd = 0;
  while (::lstat(fmt::format("/proc/{}/fd/{}", tid, fd).c_str(), &st) == 0) ++fd;
  return fd;
}

}  // namespace bpfemu
