// SPDX-License-Identifier: Apache-2.0
// Device nodes that a call names, as programs of the caller's cgroup let him use and make them.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/cgroup_run.h"
#include "emu/syscalls/host_tree.h"

namespace bpfemu {

namespace {

// The place that the kernel finds from `folder`, without waiting for a process that waits for us. That all of it is
// cached also fails when anybody renames or mounts meanwhile: without file systems of processes nothing speaks against
// waiting.
UniqueFd walked(System& system, const Task& task, int folder, const std::string& path, open_how how) {
  const auto walk = [&](u64 resolve) {
    how.resolve |= resolve;
    return UniqueFd(static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how)));
  };
  const bool may_wait = served_mounts(system, task).empty();
  constexpr int kTurns = 100;
  for (int turn = 0; !may_wait && turn < kTurns; ++turn)
    if (UniqueFd at = walk(RESOLVE_CACHED); at || errno != EAGAIN) return at;
  return may_wait ? walk(0) : UniqueFd();
}

// What the name leads to; none: nothing, or not at once.
std::optional<struct stat> look(System& system, const Task& task, const PlaceName& name) {
  const bool absolute = name.path.starts_with('/');
  const std::string process = fmt::format("/proc/{}/", task.tid());
  const std::string base = process + (absolute                  ? "root"
                                      : name.folder == AT_FDCWD ? "cwd"
                                                                : fmt::format("fd/{}", name.folder));
  const UniqueFd from(::open(base.c_str(), O_PATH | O_CLOEXEC));
  if (!from) return std::nullopt;
  open_how how{.flags = u64{O_PATH | O_CLOEXEC}, .mode = 0, .resolve = RESOLVE_NO_MAGICLINKS};
  if (absolute) how.resolve |= RESOLVE_IN_ROOT;
  if (!name.follow) how.flags |= O_NOFOLLOW;
  const UniqueFd at = walked(system, task, from.get(), name.path, how);
  struct stat st;
  if (!at || ::fstat(at.get(), &st) != 0) return std::nullopt;
  return st;
}

// Kernel: devcgroup_check_permission.
std::optional<Reply> ask_for_device(System& system, Call& call, u32 mode, u64 device, u32 access) {
  if (!system.cgroups.used_types[BPF_CGROUP_DEVICE] || (!S_ISBLK(mode) && !S_ISCHR(mode))) return std::nullopt;
  CgroupRun run(system, call.task, *system.cgroups.of(call.task.tid()), BPF_CGROUP_DEVICE);
  auto* const context = run.any() ? run.place<bpf_cgroup_dev_ctx>() : nullptr;
  if (!context) return std::nullopt;
  context->access_type = access << 16 | u32{S_ISBLK(mode) ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR};
  context->major = major(device);
  context->minor = minor(device);
  const s64 refused = run.run(nullptr, context);
  return refused ? std::optional(Reply::answer(refused)) : std::nullopt;
}

}  // namespace

// Kernel: devcgroup_inode_permission.
std::optional<Reply> use_device_in_cgroup(System& system, Call& call, const PlaceName& name, int mask) {
  if (!system.cgroups.used_types[BPF_CGROUP_DEVICE]) return std::nullopt;
  const auto st = look(system, call.task, name);
  if (!st) return std::nullopt;
  u32 access = 0;
  if (mask & R_OK) access |= BPF_DEVCG_ACC_READ;
  if (mask & W_OK) access |= BPF_DEVCG_ACC_WRITE;
  return ask_for_device(system, call, st->st_mode, st->st_rdev, access);
}

// Kernel: devcgroup_inode_mknod. A whiteout is no device.
std::optional<Reply> make_device_in_cgroup(System& system, Call& call, const PlaceName& name, u32 mode, u64 device) {
  if (!system.cgroups.used_types[BPF_CGROUP_DEVICE] || (S_ISCHR(mode) && device == 0)) return std::nullopt;
  if (look(system, call.task, name)) return std::nullopt;  // EEXIST
  return ask_for_device(system, call, mode, device, BPF_DEVCG_ACC_MKNOD);
}

}  // namespace bpfemu
