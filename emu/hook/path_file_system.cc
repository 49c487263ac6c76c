// SPDX-License-Identifier: Apache-2.0
// Calls that ask about a file system, or read ahead in it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <optional>

#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

// statfs, fstatfs (kernel: user_statfs and fd_statfs, which have vfs_statfs inlined but for a part of it)
Path asking_file_system(Transit& call) {
  call.untold(Hook::vfs_statfs_part);
  const bool open = call.number() == SYS_fstatfs;
  std::optional<Lookup> at;
  std::optional<OpenFile> file;
  if (!open) at.emplace(call, kHere, call.arg(0), Lookup::Last::kFollow);
  if (at && at->named()) at->pass_names(true);
  const FileFacts* facts = open ? file.emplace(call, call.arg(0)).facts() : at->target();
  if (facts)
    call.ask(Hook::security_sb_statfs, [&](Arguments& a) {
      a.lazily(0, [&] { return call.services().files.dentry(*facts).address(); });
    });
  co_return;
}

// readahead (kernel: ksys_readahead)
Path reading_ahead(Transit& call) {
  OpenFile file(call, call.arg(0));
  const bool fits =
      file.readable() && file.facts() && (file.facts()->regular() || (file.facts()->inode.mode & S_IFMT) == S_IFBLK);
  if (!fits) co_return;
  const Passing vfs_fadvise = call.enter(Hook::vfs_fadvise, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a[1] = call.arg(1);
    a[2] = call.arg(2);
    a[3] = POSIX_FADV_WILLNEED;
  });
  vfs_fadvise.leave(co_await call.done());
}

}  // namespace bpfemu
