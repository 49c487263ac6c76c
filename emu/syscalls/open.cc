// SPDX-License-Identifier: Apache-2.0
// Opening: synthetic files become memfds or pipes of the task's own, so that reading them never stops; folders become
// carriers.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <vector>

#include "emu/base/bytes.h"
#include "emu/iter/iter_link.h"
#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/cgroup_sysctl.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/iter_file.h"
#include "emu/syscalls/path.h"
#include "emu/syscalls/quiet_paths.h"

namespace bpfemu {

namespace {

constexpr u64 kResolveFlags = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |
                              RESOLVE_IN_ROOT | RESOLVE_CACHED;
constexpr u64 kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC |
                           O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE |
                           0100000;  // O_LARGEFILE of the kernel, which is 0 for 64-bit programs
constexpr u64 kPathFlags = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;

// What is asked for, read once.
struct OpenCall {
  PathArgument argument;
  std::string path;
  open_how how{};
  Errno wrong{0};  // of openat2's structure, once the place is ours

  int flags() const { return static_cast<int>(how.flags); }
};

// kernel: copy_struct_from_user, build_open_flags.
Errno check_how(const open_how& how, bool tail) {
  if (tail) return {E2BIG};
  if ((how.flags & ~kOpenFlags) || (how.resolve & ~kResolveFlags)) return {EINVAL};
  if ((how.resolve & RESOLVE_BENEATH) && (how.resolve & RESOLVE_IN_ROOT)) return {EINVAL};
  bool makes = how.flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY));
  if (makes ? how.mode & ~u64{07777} : how.mode) return {EINVAL};
  if ((how.flags & O_PATH) && (how.flags & ~kPathFlags)) return {EINVAL};
  if ((how.resolve & RESOLVE_CACHED) && (how.flags & (O_TRUNC | O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))) return {EAGAIN};
  return {0};
}

Result<void> read_how(Call& call, OpenCall& open) {
  u64 size = call.args[3];
  if (size < sizeof open.how || size > 4096) return fail(EINVAL);
  std::vector<u8> bytes(size);
  TRY(call.task.read(call.args[2], bytes.data(), size));
  open.how = load<open_how>(bytes.data());
  bool tail = std::any_of(bytes.begin() + sizeof open.how, bytes.end(), [](u8 byte) { return byte != 0; });
  open.wrong = check_how(open.how, tail);
  return {};
}

// kernel: build_open_flags, acc_mode
int access_of(int flags) {
  const int mode = flags & O_ACCMODE;
  const bool writes = mode != O_RDONLY || (flags & O_TRUNC);
  return (mode != O_WRONLY ? R_OK : 0) | (writes ? W_OK : 0);
}

// What cannot be read is left to the kernel.
Result<OpenCall> read_call(Call& call) {
  OpenCall open;
  switch (call.number) {
    case SYS_open: open.how = {.flags = call.args[1], .mode = call.args[2], .resolve = 0}; break;
    case SYS_creat: open.how = {.flags = O_CREAT | O_WRONLY | O_TRUNC, .mode = call.args[1], .resolve = 0}; break;
    case SYS_openat: open.how = {.flags = call.args[2], .mode = call.args[3], .resolve = 0}; break;
    default: TRY(read_how(call, open));
  }
  if (call.number != SYS_open && call.number != SYS_creat) open.argument = {.directory = 0, .path = 1};
  // Only openat2 minds flags that do not go with O_PATH.
  if (call.number != SYS_openat2 && (open.how.flags & O_PATH)) open.how.flags &= kPathFlags;
  open.path = TRY(read_path(call.task, call.args[static_cast<size_t>(open.argument.path)]));
  return open;
}

Result<u64> open_folder(System& system, Call& call, const Found& found, int flags) {
  if (flags & O_CREAT) return fail(EISDIR);
  if ((flags & O_TMPFILE) == O_TMPFILE) return fail(EOPNOTSUPP);
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) return fail(EISDIR);
  TRY(system.vfs->permits(system.credentials(call.task), found, R_OK));
  if (flags & O_DIRECT) return fail(EINVAL);
  return static_cast<u64>(TRY(install_folder(system, call.task, found, flags)));
}

Result<u64> open_file(System& system, Call& call, const Found& found, int flags) {
  if (flags & O_DIRECTORY) return fail(ENOTDIR);
  if (found.link()) return fail(ELOOP);  // only O_NOFOLLOW leads here
  // Each opening of a pinned iterator walks anew (kernel: iter_open).
  const Object* pinned = found.pin() ? found.pin()->object().get() : nullptr;
  if (pinned && pinned->kind() == ObjectKind::kLink && static_cast<const Link*>(pinned)->type() == BPF_LINK_TYPE_ITER) {
    auto& link = static_cast<IterLink&>(*found.pin()->object());
    return static_cast<u64>(TRY(install_pinned_iter(system, call.task, found, link, flags)));
  }
  auto opened = TRY(system.vfs->open(system.credentials(call.task), found, &call.task, flags));
  if (flags & O_DIRECT) return fail(EINVAL);
  if (found.file() && found.file()->asks_reads() && (flags & O_ACCMODE) != O_WRONLY) {
    // Who gets it unnoticed fails to read.
    const UniqueFd carrier = TRY(reopen(opened.fd.get(), O_WRONLY));
    auto file = std::make_shared<SysctlReads>(*system.vfs, found, opened.writes);
    return static_cast<u64>(
        TRY(system.files.install_native(call.task, std::move(file), carrier.get(), flags & O_CLOEXEC)));
  }
  auto file = std::make_shared<NodeFile>(*system.vfs, found, false, opened.writes);
  return static_cast<u64>(
      TRY(system.files.install_native(call.task, std::move(file), opened.fd.get(), flags & O_CLOEXEC)));
}

}  // namespace

Result<u64> open_place(System& system, Call& call, const Found& found, int flags) {
  if (flags & O_PATH) {
    if ((flags & O_DIRECTORY) && !found.directory()) return fail(ENOTDIR);
    return static_cast<u64>(TRY(install_path_only(system, call.task, found, flags)));
  }
  if ((flags & O_CREAT) && (flags & O_EXCL)) return fail(EEXIST);
  return found.directory() ? open_folder(system, call, found, flags) : open_file(system, call, found, flags);
}

namespace {

Reply open_found(System& system, Call& call, const OpenCall& open, const Found& found) {
  if (!found.path.empty() && (!found.ours() || found.magic)) system.quiet_paths->held.may_get(call.task.tid());
  if (found.where == Found::Where::kHost || found.magic) return Reply::native();
  if (found.where == Found::Where::kElsewhere) return redirect(call, {{open.argument, found.path}});
  if (!found.anonymous() && open.wrong.value) return Reply::answer(-s64{open.wrong.value});
  if (!found.anonymous()) return Reply::answer(open_place(system, call, found, open.flags()));
  // An anonymous inode cannot be opened anew.
  return open.flags() & O_PATH ? Reply::native() : Reply::answer(-ENXIO);
}

}  // namespace

Reply enter_open(System& system, Call& call) {
  auto open = read_call(call);
  if (!open || open->path.empty()) return Reply::native();
  bool exclusive = (open->flags() & O_CREAT) && (open->flags() & O_EXCL);
  How how{.follow = !(open->flags() & O_NOFOLLOW) && !exclusive,
          .create = (open->flags() & O_CREAT) != 0,
          .resolve = open->how.resolve};
  auto found = find(system, call.task, directory_of(call, open->argument), open->path, how);
  if (found && !found->ours() && !(open->flags() & O_PATH))
    if (auto refused = use_device_in_cgroup(
            system, call, {directory_of(call, open->argument), open->path, how.follow}, access_of(open->flags())))
      return *refused;
  if (found) return open_found(system, call, *open, *found);
  if (found.error().value == EBADF) return Reply::native();
  return Reply::answer(-s64{open->wrong.value ? open->wrong.value : found.error().value});
}

}  // namespace bpfemu
