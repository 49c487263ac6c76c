// SPDX-License-Identifier: Apache-2.0
// Folders: listing them, entering them, and the calls that change them, as far as bpffs has them.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <charconv>
#include <fstream>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/host_tree.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/path.h"
#include "emu/syscalls/quiet_paths.h"

namespace bpfemu {

namespace {

// The place of a call that changes the folder above it. None: the call is the kernel's; `reply` says how.
struct Place {
  std::optional<Parent> parent;
  std::string elsewhere = {};  // the kernel's, but on this path
  Reply reply = Reply::native();
};

Place place_of(System& system, Call& call, PathArgument argument) {
  auto text = read_path(call.task, call.args[static_cast<size_t>(argument.path)]);
  if (!text || text->empty()) return {};
  auto parent = find_parent(system, call.task, directory_of(call, argument), *text);
  if (!parent && parent.error().value == EBADF) return {};
  if (!parent) return {.parent = {}, .reply = Reply::answer(-s64{parent.error().value})};
  // One of ours in a folder of the host cannot be changed, but it is there.
  if (parent->folder.ours() || parent->entry()) return {.parent = std::move(*parent)};
  if (parent->folder.where != Found::Where::kElsewhere) return {};
  std::string path = parent->missing ? parent->folder.path : parent->path() + (parent->slash ? "/" : "");
  return {.parent = {}, .elsewhere = path, .reply = redirect(call, {{argument, path}})};
}

// Runs `change` on the place, or leaves the call to the kernel.
template <class Change>
Reply change_folder(System& system, Call& call, PathArgument argument, Change change) {
  Place place = place_of(system, call, argument);
  return place.parent ? Reply::answer(Result<void>(change(*place.parent))) : place.reply;
}

// One of a call's two places is ours, this one the host's: EXDEV if it is there, or for the new name of a link is not.
s64 across(System& system, Call& call, PathArgument argument, bool makes_link = false) {
  auto text = read_path(call.task, call.args[static_cast<size_t>(argument.path)]);
  if (!text) return -s64{text.error().value};
  auto parent = find_parent(system, call.task, directory_of(call, argument), *text, true);
  if (!parent) return -s64{parent.error().value};
  if (is_served(served_mounts(system, call.task), parent->folder.path)) return -EXDEV;
  std::string anchor = root_of(system, call.task).anchor;
  struct stat st;
  // A component that is a file says ENOTDIR only with something behind it.
  if (::lstat((anchor + parent->folder.path + "/.").c_str(), &st) != 0) return -errno;
  bool exists = makes_link && ::lstat((anchor + parent->path()).c_str(), &st) == 0;
  return exists ? -EEXIST : -EXDEV;
}

u32 umask_of(const Task& task) {
  std::ifstream status("/proc/" + std::to_string(task.tid()) + "/status");
  for (std::string line; std::getline(status, line);) {
    u32 mask = 0;
    if (line.starts_with("Umask:\t")) std::from_chars(line.data() + 7, line.data() + line.size(), mask, 8);
    if (mask) return mask;
  }
  return 0;
}

Reply enter_target(System& system, Call& call, const Found& target) {
  if (!target.directory()) return Reply::answer(-ENOTDIR);
  auto allowed = system.vfs->permits(system.credentials(call.task), target, X_OK);
  return Reply::answer(allowed ? enter_folder(system, call.task, target) : allowed);
}

PathArgument first_path(bool at) { return at ? PathArgument{.directory = 0, .path = 1} : PathArgument{}; }
PathArgument second_path(bool at) {
  return at ? PathArgument{.directory = 2, .path = 3} : PathArgument{.directory = -1, .path = 1};
}

bool bad_rename_flags(u32 flags) {
  bool exchange = flags & RENAME_EXCHANGE;
  return (flags & ~u32{RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT}) ||
         (exchange && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)));
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
  if (file && file->is_read()) return Reply::answer(-ESPIPE);
  if (!directory) return Reply::native();
  return Reply::answer(directory->seek(static_cast<s64>(call.args[1]), static_cast<u32>(call.args[2])));
}

Reply enter_mkdir(System& system, Call& call) {
  bool at = call.number == SYS_mkdirat;
  u32 mode = static_cast<u32>(call.args[at ? 2 : 1]);
  return change_folder(system, call, first_path(at), [&](const Parent& parent) {
    return system.vfs->mkdir(system.credentials(call.task), parent, mode & 01777 & ~umask_of(call.task));
  });
}

Reply enter_mknod(System& system, Call& call) {
  bool at = call.number == SYS_mknodat;
  u32 mode = static_cast<u32>(call.args[at ? 2 : 1]);
  const PathArgument path = first_path(at);
  const auto text = system.cgroups.used_types[BPF_CGROUP_DEVICE] ? read_path(call.task, call.args[at]) : fail(EFAULT);
  const u64 device = static_cast<u32>(call.args[at ? 3 : 2]);
  if (text)
    if (auto refused = make_device_in_cgroup(system, call, {directory_of(call, path), *text, false}, mode, device))
      return *refused;
  return change_folder(system, call, path, [&](const Parent& parent) {
    return system.vfs->mknod(system.credentials(call.task), parent, mode);
  });
}

Reply enter_unlink(System& system, Call& call) {
  bool at = call.number == SYS_unlinkat;
  if (at && (call.args[2] & ~u64{AT_REMOVEDIR})) return Reply::native();
  bool folder = at ? (call.args[2] & AT_REMOVEDIR) != 0 : call.number == SYS_rmdir;
  PathArgument path = first_path(at);
  Reply reply = change_folder(system, call, path, [&](const Parent& parent) {
    Credentials who = system.credentials(call.task);
    return folder ? system.vfs->rmdir(who, parent) : system.vfs->unlink(who, parent);
  });
  return lose_owner(system, call, reply, path.directory, path.path);
}

Reply enter_rename(System& system, Call& call) {
  system.host_paths.forget();
  bool at = call.number != SYS_rename;
  u32 flags = call.number == SYS_renameat2 ? static_cast<u32>(call.args[4]) : 0;
  if (bad_rename_flags(flags)) return Reply::native();
  Place from = place_of(system, call, first_path(at)), to = place_of(system, call, second_path(at));
  if (!from.parent && !to.parent) {
    if (from.reply.kind == Reply::Kind::kAnswered) return from.reply;
    if (to.reply.kind == Reply::Kind::kAnswered) return to.reply;
    std::vector<std::pair<PathArgument, std::string>> moved;
    if (!from.elsewhere.empty()) moved.emplace_back(first_path(at), from.elsewhere);
    if (!to.elsewhere.empty()) moved.emplace_back(second_path(at), to.elsewhere);
    if (!moved.empty()) return redirect(call, moved);
    if (flags & RENAME_EXCHANGE) return Reply::native();
    return lose_owner(system, call, Reply::native(), second_path(at).directory, second_path(at).path);
  }
  if (!from.parent) return from.reply.kind == Reply::Kind::kAnswered ? from.reply : Reply::answer(across(system, call, first_path(at)));
  if (!to.parent) return to.reply.kind == Reply::Kind::kAnswered ? to.reply : Reply::answer(across(system, call, second_path(at)));
  bool ours = from.parent->folder.ours() && to.parent->folder.ours();
  if (!ours) return Reply::answer(from.parent->folder.ours() == to.parent->folder.ours() ? -EPERM : -EXDEV);
  auto done = system.vfs->rename(system.credentials(call.task), *from.parent, *to.parent, flags);
  if (done) system.files.moved(from.parent->path(), to.parent->path());
  return Reply::answer(done);
}

Reply enter_link(System& system, Call& call) {
  system.host_paths.forget();
  bool at = call.number == SYS_linkat;
  u64 flags = at ? call.args[4] : 0;
  if (flags & ~u64{AT_SYMLINK_FOLLOW | AT_EMPTY_PATH}) return Reply::native();
  auto text = read_path(call.task, call.args[at ? 1 : 0]);
  if (!text || (text->empty() && !(flags & AT_EMPTY_PATH))) return Reply::native();
  int folder = directory_of(call, first_path(at));
  auto what = text->empty() ? Result<Found>(find_descriptor(system, call.task, folder))
                            : find(system, call.task, folder, *text, {.follow = (flags & AT_SYMLINK_FOLLOW) != 0});
  if (!what && what.error().value == EBADF) return Reply::native();
  if (!what) return Reply::answer(-s64{what.error().value});
  Place to = place_of(system, call, second_path(at));
  if (what->ours() && to.parent && to.parent->folder.ours()) {
    return Reply::answer(system.vfs->link(system.credentials(call.task), *what, *to.parent));
  }
  if (!what->ours() && !to.parent) {
    if (what->where != Found::Where::kElsewhere) return to.reply;
    return redirect(call, {{first_path(at), what->path}});
  }
  // The old name is looked at first.
  if (!what->ours()) {
    How how{.follow = (flags & AT_SYMLINK_FOLLOW) != 0, .exact = true};
    auto exact = find(system, call.task, folder, *text, how);
    if (!exact) return Reply::answer(-s64{exact.error().value});
    struct stat st;
    std::string path = root_of(system, call.task).anchor + exact->path;
    if (!text->empty() && ::lstat(path.c_str(), &st) != 0) return Reply::answer(-errno);
    return Reply::answer(to.parent->entry() ? -EEXIST : -EXDEV);
  }
  if (to.reply.kind == Reply::Kind::kAnswered) return to.reply;
  if (to.parent) return Reply::answer(to.parent->entry() ? -EEXIST : -EXDEV);
  return Reply::answer(across(system, call, second_path(at), true));
}

Reply enter_symlink(System& system, Call& call) {
  system.host_paths.forget();
  bool at = call.number == SYS_symlinkat;
  auto target = read_path(call.task, call.args[0]);
  if (!target || target->empty()) return Reply::native();
  PathArgument link = at ? PathArgument{.directory = 1, .path = 2} : PathArgument{.directory = -1, .path = 1};
  return change_folder(system, call, link, [&](const Parent& parent) {
    return system.vfs->symlink(system.credentials(call.task), *target, parent);
  });
}

Reply enter_chdir(System& system, Call& call) {
  system.quiet_paths->held.may_get(call.task.tid());
  return on_target(system, call, {}, {}, enter_target);
}

Reply enter_fchdir(System& system, Call& call) {
  Found found = find_descriptor(system, call.task, static_cast<int>(call.args[0]));
  return found.ours() ? enter_target(system, call, found) : Reply::native();
}

// The kernel's own answer for a hidden folder would be ENOENT.
Reply enter_getcwd(System& system, Call& call) {
  auto folder = current_folder(system, call.task);
  if (!folder) return Reply::native();
  if (folder->node->links == 0) return Reply::answer(-ENOENT);
  u64 size = folder->path.size() + 1;
  if (call.args[1] < size) return Reply::answer(-ERANGE);
  auto written = call.task.write(call.args[0], folder->path.c_str(), size);
  return written ? Reply::answer(static_cast<s64>(size)) : Reply::answer(written);
}

}  // namespace bpfemu
