// SPDX-License-Identifier: Apache-2.0
// What tools change of files: permissions, owner, times, size, extended attributes.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include <ctime>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

constexpr size_t kNameMax = 256;  // XATTR_NAME_MAX and its end
constexpr long kNanoseconds = 1'000'000'000;

Reply change(System& system, Call& call, const Found& target, const AttributeChange& wanted) {
  if (target.magic || target.anonymous()) return Reply::native();
  return Reply::answer(system.vfs->change(system.credentials(call.task), target, wanted));
}

// -1: as it is.
std::optional<u32> id_of(u64 argument) {
  u32 id = static_cast<u32>(argument);
  return id == ~u32{0} ? std::nullopt : std::optional(id);
}

Reply chmod_target(System& system, Call& call, const Found& target) {
  return change(system, call, target, {.mode = static_cast<u32>(call.args[first_after_path(call.number)])});
}

Reply chown_target(System& system, Call& call, const Found& target) {
  size_t at = first_after_path(call.number);
  return change(system, call, target, {.uid = id_of(call.args[at]), .gid = id_of(call.args[at + 1])});
}

// UTIME_NOW and UTIME_OMIT, and what they leave: EINVAL (kernel: do_utimes).
Result<AttributeChange> times_from(const timespec (&given)[2]) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  AttributeChange wanted;
  std::optional<timespec>* places[] = {&wanted.access, &wanted.modification};
  for (int i = 0; i < 2; ++i) {
    if (given[i].tv_nsec == UTIME_OMIT) continue;
    bool valid = given[i].tv_nsec == UTIME_NOW || (given[i].tv_nsec >= 0 && given[i].tv_nsec < kNanoseconds);
    if (!valid) return fail(EINVAL);
    *places[i] = given[i].tv_nsec == UTIME_NOW ? now : given[i];
  }
  wanted.needs_owner = given[0].tv_nsec != UTIME_NOW || given[1].tv_nsec != UTIME_NOW;
  return wanted;
}

Result<AttributeChange> read_times(Call& call) {
  u64 from = call.args[call.number == SYS_utimensat || call.number == SYS_futimesat ? 2 : 1];
  timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  if (from && call.number == SYS_utimensat) {
    TRY(call.task.read(from, times, sizeof times));
  } else if (from && call.number == SYS_utime) {
    utimbuf given;
    TRY(call.task.read(from, &given, sizeof given));
    times[0] = {given.actime, 0};
    times[1] = {given.modtime, 0};
  } else if (from) {
    timeval given[2];
    TRY(call.task.read(from, given, sizeof given));
    for (int i = 0; i < 2; ++i) {
      if (given[i].tv_usec < 0 || given[i].tv_usec >= 1'000'000) return fail(EINVAL);
      times[i] = {given[i].tv_sec, given[i].tv_usec * 1000};
    }
  }
  return times_from(times);
}

Reply utimes_target(System& system, Call& call, const Found& target) {
  auto wanted = read_times(call);
  if (!wanted) return Reply::answer(-s64{wanted.error().value});
  if (!wanted->access && !wanted->modification) return Reply::answer(s64{0});
  return change(system, call, target, *wanted);
}

// Files of ours have no size to change, but the kernel's change of it succeeds (kernel: simple_setattr).
Reply truncate_target(System& system, Call& call, const Found& target) {
  if (target.magic || target.anonymous()) return Reply::native();
  if (static_cast<s64>(call.args[1]) < 0) return Reply::answer(-EINVAL);
  if (target.directory()) return Reply::answer(-EISDIR);
  return Reply::answer(system.vfs->permits(system.credentials(call.task), target, W_OK));
}

// Files of ours have no extended attributes; sysfs could have some.
Reply xattr_target(System& system, Call& call, const Found& target) {
  if (target.magic || target.anonymous()) return Reply::native();
  bool sysfs = target.node->type == &kSysfs;
  int mask = R_OK, none = sysfs ? ENODATA : EOPNOTSUPP;
  switch (call.number) {
    case SYS_listxattr:
    case SYS_llistxattr:
    case SYS_flistxattr: return Reply::answer(s64{0});
    case SYS_getxattr:
    case SYS_lgetxattr:
    case SYS_fgetxattr: break;
    default:
      mask = W_OK;
      none = EOPNOTSUPP;
      if (sysfs) system.unmodelled.note("extended attributes of sysfs");
  }
  // Only attributes of users mind the permission (kernel: xattr_permission).
  auto name = call.task.read_string(call.args[1], kNameMax);
  bool minds = !name || name->starts_with("user.");
  auto allowed = minds ? system.vfs->permits(system.credentials(call.task), target, mask) : Result<void>();
  return Reply::answer(allowed ? -none : -s64{allowed.error().value});
}

// Calls on a descriptor; one that is open by its path alone is refused by the kernel.
Reply on_descriptor(System& system, Call& call, TargetHandler answer) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file || !file->node() || file->node()->path_only()) return Reply::native();
  return answer(system, call, file->node()->found());
}

}  // namespace

Reply enter_chmod(System& system, Call& call) {
  if (call.number == SYS_fchmod) return on_descriptor(system, call, chmod_target);
  PathArgument path;
  if (call.number == SYS_fchmodat) path = {.directory = 0, .path = 1};
  return on_target(system, call, path, {}, chmod_target);
}

Reply enter_chown(System& system, Call& call) {
  if (call.number == SYS_fchown) return give_owner(system, call, on_descriptor(system, call, chown_target));
  PathArgument path;
  if (call.number == SYS_fchownat) path = {.directory = 0, .path = 1, .flags = 4};
  bool follow = call.number != SYS_lchown && follows(call, path);
  return give_owner(system, call, on_target(system, call, path, {.follow = follow}, chown_target));
}

// A null path means the descriptor itself (futimens).
Reply enter_utimes(System& system, Call& call) {
  bool at = call.number == SYS_utimensat || call.number == SYS_futimesat;
  if (at && !call.args[1]) return on_descriptor(system, call, utimes_target);
  PathArgument path;
  if (at) path = {.directory = 0, .path = 1};
  if (call.number == SYS_utimensat) path.flags = 3;
  return on_target(system, call, path, {.follow = follows(call, path)}, utimes_target);
}

Reply enter_truncate(System& system, Call& call) {
  if (call.number == SYS_ftruncate) {
    auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
    bool writable = file && file->takes_writes();
    return writable ? Reply::answer(static_cast<s64>(call.args[1]) < 0 ? -EINVAL : 0) : Reply::native();
  }
  return on_target(system, call, {}, {}, truncate_target);
}

Reply enter_xattr(System& system, Call& call) {
  switch (call.number) {
    case SYS_getxattr:
    case SYS_setxattr:
    case SYS_listxattr:
    case SYS_removexattr: return on_target(system, call, {}, {}, xattr_target);
    case SYS_lgetxattr:
    case SYS_lsetxattr:
    case SYS_llistxattr:
    case SYS_lremovexattr: return on_target(system, call, {}, {.follow = false}, xattr_target);
    default: return on_descriptor(system, call, xattr_target);
  }
}

}  // namespace bpfemu
