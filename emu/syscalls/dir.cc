// SPDX-License-Identifier: Apache-2.0
// Folders: listing them and the calls that change them, as far as bpffs has them.
#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>

#include "emu/syscalls/dir_file.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

// The absolute path of a call that changes the folder above it, when that folder is ours; an empty one is native.
Result<std::string> in_our_folder(System& system, Call& call, PathArgument argument) {
  auto text = read_path(call.task, call.args[static_cast<size_t>(argument.path)]);
  if (!text) return std::string();
  int dirfd = argument.directory < 0 ? AT_FDCWD : static_cast<int>(call.args[static_cast<size_t>(argument.directory)]);
  auto path = our_path(system, call.task, dirfd, *text);
  if (!path) return std::string();
  while (path->size() > 1 && path->back() == '/') path->pop_back();
  std::string parent = path->substr(0, std::max<size_t>(path->rfind('/'), 1));
  auto found = TRY(system.vfs->lookup(parent));
  bool changeable = found.ours() && found.directory() && !found.directory()->overlay();
  return changeable ? *path : std::string();
}

// Runs `change` on the path, or leaves the call to the kernel.
template <class Change>
Reply change_folder(System& system, Call& call, PathArgument argument, Change change) {
  auto path = in_our_folder(system, call, argument);
  if (!path) return Reply::answer(-s64{path.error().value});
  if (path->empty()) return Reply::native();
  return Reply::answer(Result<void>(change(*path)));
}

// Moving and linking take two paths; a move between file systems is EXDEV.
template <class Change>
Reply change_two(System& system, Call& call, PathArgument from, PathArgument to, Change change) {
  auto source = in_our_folder(system, call, from);
  if (!source) return Reply::answer(-s64{source.error().value});
  auto destination = in_our_folder(system, call, to);
  if (!destination) return Reply::answer(-s64{destination.error().value});
  if (source->empty() && destination->empty()) return Reply::native();
  if (source->empty() || destination->empty()) return Reply::answer(-EXDEV);
  return Reply::answer(Result<void>(change(*source, *destination)));
}

Reply enter_target(System& system, Call& call, const Target& target) {
  if (target.descriptor) return Reply::native();
  if (!target.found.directory()) return Reply::answer(-ENOTDIR);
  system.unmodelled.note("chdir into " + target.path);
  (void)call;
  return Reply::answer(-EACCES);
}

}  // namespace

Reply enter_getdents(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  DirectoryFile* directory = file ? file->directory() : nullptr;
  if (!directory) return Reply::native();
  auto records = directory->read(static_cast<u32>(call.args[2]));
  if (!records) return Reply::answer(-s64{records.error().value});
  auto written = call.task.write(call.args[1], records->data(), records->size());
  return written ? Reply::answer(static_cast<s64>(records->size())) : Reply::answer(written);
}

Reply enter_lseek(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  DirectoryFile* directory = file ? file->directory() : nullptr;
  if (!directory || call.args[1] != 0 || call.args[2] != SEEK_SET) return Reply::native();
  directory->rewind();
  return Reply::answer(s64{0});
}

Reply enter_mkdir(System& system, Call& call) {
  bool at = call.number == SYS_mkdirat;
  u32 mode = static_cast<u32>(call.args[at ? 2 : 1]);
  return change_folder(system, call, at ? PathArgument{0, 1} : PathArgument{-1, 0},
                       [&](const std::string& path) { return system.vfs->mkdir(path, mode & 01777); });
}

Reply enter_unlink(System& system, Call& call) {
  bool at = call.number == SYS_unlinkat;
  bool folder = at ? (call.args[2] & AT_REMOVEDIR) != 0 : call.number == SYS_rmdir;
  return change_folder(system, call, at ? PathArgument{0, 1} : PathArgument{-1, 0}, [&](const std::string& path) {
    return folder ? system.vfs->rmdir(path) : system.vfs->unlink(path);
  });
}

Reply enter_rename(System& system, Call& call) {
  bool at = call.number != SYS_rename;
  u32 flags = call.number == SYS_renameat2 ? static_cast<u32>(call.args[4]) : 0;
  return change_two(system, call, at ? PathArgument{0, 1} : PathArgument{-1, 0},
                    at ? PathArgument{2, 3} : PathArgument{-1, 1},
                    [&](const std::string& from, const std::string& to) { return system.vfs->rename(from, to, flags); });
}

Reply enter_link(System& system, Call& call) {
  bool at = call.number == SYS_linkat;
  return change_two(system, call, at ? PathArgument{0, 1} : PathArgument{-1, 0},
                    at ? PathArgument{2, 3} : PathArgument{-1, 1},
                    [](const std::string&, const std::string&) -> Result<void> { return fail(EPERM); });
}

Reply enter_symlink(System& system, Call& call) {
  bool at = call.number == SYS_symlinkat;
  auto target = read_path(call.task, call.args[0]);
  if (!target) return Reply::native();
  return change_folder(system, call, at ? PathArgument{1, 2} : PathArgument{-1, 1},
                       [&](const std::string& path) { return system.vfs->symlink(*target, path); });
}

// Folders that stand for host folders (kernel headers) are entered for real; the synthetic ones cannot be.
Reply enter_chdir(System& system, Call& call) {
  return on_target(system, call, PathArgument{-1, 0}, true, enter_target);
}

Reply enter_fchdir(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file) return Reply::native();
  if (!file->directory()) return Reply::answer(-ENOTDIR);
  system.unmodelled.note("chdir into " + file->directory()->path());
  return Reply::answer(-EACCES);
}

}  // namespace bpfemu
