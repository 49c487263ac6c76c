// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/owners.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u32 kUnchanged = ~u32{0};

bool is_given(u32 id) {
  return id != 0 && id != kUnchanged;
}

// Over the files of this run's root: a thread that dropped the capability, or is in a namespace below, has it not.
bool may_chown(System& system, const Task& task) {
  return system.identities.root().pretended() && (system.identities.effective(task.tid()) >> CAP_CHOWN & 1);
}

Result<struct stat> stat_at(Task& task, u64 directory, u64 path, u64 flags) {
  struct stat st;
  u64 at = TRY(task.scratch(sizeof st));
  TRY(task.call(SYS_newfstatat, {directory, path, at, flags}));
  TRY(task.read(at, &st, sizeof st));
  return st;
}

// The file that a chown was about.
Result<FileId> file_of(Call& call) {
  u64 here = static_cast<u64>(AT_FDCWD);
  if (call.number == SYS_fchown) return call.task.file_id(static_cast<int>(call.args[0]));
  auto st = call.number == SYS_fchownat
                ? stat_at(call.task, call.args[0], call.args[1], call.args[4])
                : stat_at(call.task, here, call.args[0], call.number == SYS_lchown ? u64{AT_SYMLINK_NOFOLLOW} : 0);
  if (!st) return std::unexpected(st.error());
  return FileId{st->st_dev, st->st_ino};
}

// Where a call of the stat family left what.
struct Shown {
  u64 owner;  // address of uid and gid, one after the other
  FileId file;
  Owner host;
};

Result<Shown> shown_by(Call& call) {
  if (call.number == SYS_statx) {
    static_assert(offsetof(struct statx, stx_gid) == offsetof(struct statx, stx_uid) + sizeof(u32));
    struct statx x;
    TRY(call.task.read(call.args[4], &x, sizeof x));
    return Shown{call.args[4] + offsetof(struct statx, stx_uid),
                 {makedev(x.stx_dev_major, x.stx_dev_minor), x.stx_ino},
                 {x.stx_uid, x.stx_gid}};
  }
  static_assert(offsetof(struct stat, st_gid) == offsetof(struct stat, st_uid) + sizeof(u32));
  struct stat st;
  u64 at = call.args[call.number == SYS_newfstatat ? 2 : 1];
  TRY(call.task.read(at, &st, sizeof st));
  return Shown{at + offsetof(struct stat, st_uid), {st.st_dev, st.st_ino}, {st.st_uid, st.st_gid}};
}

}  // namespace

const Owner* Owners::find(FileId file) const {
  auto it = given_.find(file);
  return it == given_.end() ? nullptr : &it->second;
}

void Owners::give(FileId file, const Owner& owner) {
  if (owner.uid == 0 && owner.gid == 0) {
    given_.erase(file);
  } else {
    given_[file] = owner;
  }
}

void Owners::unlinked(pid_t tid, bool done) {
  auto doomed = doomed_.find(tid);
  if (doomed == doomed_.end()) return;
  if (done) given_.erase(doomed->second);
  doomed_.erase(doomed);
}

Reply give_owner(System& system, Call& call, Reply reply) {
  size_t at = first_after_path(call.number);
  if (reply.kind != Reply::Kind::kNative || !may_chown(system, call.task)) return reply;
  const Root& root = system.identities.root();
  u32 uid = static_cast<u32>(call.args[at]), gid = static_cast<u32>(call.args[at + 1]);
  if (!is_given(uid) && !is_given(gid) && !system.owners.any() && !root.answered()) return reply;
  if (uid != kUnchanged) call.args[at] = root.answered() ? root.uid : 0;
  if (gid != kUnchanged) call.args[at + 1] = root.answered() ? root.gid : 0;
  reply.args_changed = true;
  reply.kind = Reply::Kind::kNativeThenExit;
  return reply;
}

s64 exit_chown(System& system, Call& call, s64 result) {
  if (result != 0) return result;
  size_t at = first_after_path(call.number);
  u32 uid = static_cast<u32>(call.args[at]), gid = static_cast<u32>(call.args[at + 1]);
  if (!is_given(uid) && !is_given(gid) && !system.owners.any()) return result;
  auto file = file_of(call);
  if (!file) return result;
  const Owner* known = system.owners.find(*file);
  Owner owner = known ? *known : Owner{0, 0};
  if (uid != kUnchanged) owner.uid = uid;
  if (gid != kUnchanged) owner.gid = gid;
  system.owners.give(*file, owner);
  if (system.owners.any()) system.host.want_everywhere(SyscallSet().set(SYS_fstat));
  return result;
}

Reply show_owner(System& system, Reply reply) {
  bool shown = system.owners.any() || system.identities.root().answered();
  if (shown && reply.kind == Reply::Kind::kNative) reply.kind = Reply::Kind::kNativeThenExit;
  return reply;
}

// Who sees the run's root as 0 sees the owners that it gave.
s64 exit_stat(System& system, Call& call, s64 result) {
  if (result != 0) return result;
  auto shown = shown_by(call);
  if (!shown) return result;
  const Root& root = system.identities.root();
  Owner owner = shown->host;
  if (root.answered()) owner = {root.shown_uid(owner.uid), root.shown_gid(owner.gid)};
  const Owner* given = owner.uid == 0 ? system.owners.find(shown->file) : nullptr;
  if (given) owner = *given;
  if (owner.uid != shown->host.uid || owner.gid != shown->host.gid)
    (void)call.task.write(shown->owner, &owner, sizeof owner);
  return result;
}

Reply lose_owner(System& system, Call& call, Reply reply, int directory, int path) {
  if (reply.kind != Reply::Kind::kNative || !system.owners.any()) return reply;
  u64 folder = directory < 0 ? static_cast<u64>(AT_FDCWD) : call.args[static_cast<size_t>(directory)];
  auto st = stat_at(call.task, folder, call.args[static_cast<size_t>(path)], AT_SYMLINK_NOFOLLOW);
  if (!st || !system.owners.find({st->st_dev, st->st_ino})) return reply;
  if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) return reply;
  system.owners.doom(call.task.tid(), {st->st_dev, st->st_ino});
  reply.kind = Reply::Kind::kNativeThenExit;
  return reply;
}

s64 exit_unlink(System& system, Call& call, s64 result) {
  system.owners.unlinked(call.task.tid(), result == 0);
  return result;
}

}  // namespace bpfemu
