// SPDX-License-Identifier: Apache-2.0
// Opening: synthetic files become memfds or pipes of the task's own, so that reading them never stops; folders become
// carriers.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "emu/syscalls/dir_file.h"
#include "emu/syscalls/fdinfo.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"
#include "emu/syscalls/status.h"

namespace bpfemu {

namespace {

// The flags of whichever open call it is; what cannot be read is left to the kernel.
Result<int> flags_of(Call& call) {
  switch (call.number) {
    case SYS_open: return static_cast<int>(call.args[1]);
    case SYS_openat: return static_cast<int>(call.args[2]);
    case SYS_creat: return O_CREAT | O_WRONLY | O_TRUNC;
    default: {
      open_how how{};
      if (call.args[3] < sizeof how) return fail(EINVAL);
      TRY(call.task.read(call.args[2], &how, sizeof how));
      return static_cast<int>(how.flags);
    }
  }
}

PathArgument path_of(const Call& call) {
  return call.number == SYS_open || call.number == SYS_creat ? PathArgument{-1, 0} : PathArgument{0, 1};
}

Result<u64> install(Call& call, UniqueFd fd, int flags) {
  return static_cast<u64>(TRY(call.task.install_fd(fd.get(), flags & O_CLOEXEC)));
}

Result<u64> open_folder(System& system, Call& call, const Found& found, int flags) {
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)) return fail(EISDIR);
  if (!(flags & O_PATH)) TRY(system.vfs->permits(*found.node, R_OK));
  auto file = std::make_shared<DirectoryFile>(*system.vfs, found, static_cast<u32>(flags & ~O_CLOEXEC));
  return static_cast<u64>(TRY(system.files.install(call.task, std::move(file), flags & O_CLOEXEC)));
}

Result<u64> open_file(System& system, Call& call, const Found& found, int flags) {
  if (flags & O_DIRECTORY) return fail(ENOTDIR);
  if ((flags & O_CREAT) && (flags & O_EXCL)) return fail(EEXIST);
  if (found.link()) return fail(ELOOP);  // only O_NOFOLLOW leads here
  auto opened = TRY(system.vfs->open(found, &call.task, flags));
  if (opened.writes) system.writers.add(opened.fd.get(), std::static_pointer_cast<FileNode>(found.node), call.task);
  return install(call, std::move(opened.fd), flags);
}

// A text that is made for this one opener.
Result<u64> open_text(Call& call, std::string_view name, const std::string& text, int flags) {
  UniqueFd content = TRY(content_fd(name, text));
  return install(call, TRY(reopen(content.get())), flags);
}

Result<u64> open_fdinfo(Call& call, const DescriptorPath& descriptor, int flags) {
  return open_text(call, "fdinfo", TRY(fdinfo_text(descriptor)), flags);
}

Reply open_target(System& system, Call& call, const Target& target) {
  auto flags = flags_of(call);
  if (!flags) return Reply::native();
  if (target.descriptor && target.descriptor->info) return Reply::answer(open_fdinfo(call, *target.descriptor, *flags));
  if (target.descriptor) {
    // An anonymous inode cannot be opened anew.
    return *flags & O_PATH ? Reply::native() : Reply::answer(-ENXIO);
  }
  if (target.found.directory()) return Reply::answer(open_folder(system, call, target.found, *flags));
  return Reply::answer(open_file(system, call, target.found, *flags));
}

std::optional<std::string> asked_status(System& system, Call& call, const std::string& text) {
  if (!text.ends_with("status")) return std::nullopt;
  auto path = our_path(system, call.task, directory_of(call, path_of(call)), text);
  return path ? status_text(system, *path) : std::nullopt;
}

}  // namespace

Reply enter_open(System& system, Call& call) {
  auto flags = flags_of(call);
  if (!flags) return Reply::native();
  const PathArgument argument = path_of(call);
  auto text = read_path(call.task, call.args[static_cast<size_t>(argument.path)]);
  if (!text) return Reply::native();
  if (auto status = asked_status(system, call, *text)) return Reply::answer(open_text(call, "status", *status, *flags));
  return on_target(system, call, argument, *text, !(*flags & O_NOFOLLOW), open_target);
}

// Writes to synthetic files. They stop only in processes that opened one.
Reply enter_write(System& system, Call& call) {
  auto node = system.writers.find(call.task, static_cast<int>(call.args[0]));
  if (!node) return Reply::native();
  return Reply::answer(system.writers.write(call, *node));
}

}  // namespace bpfemu
