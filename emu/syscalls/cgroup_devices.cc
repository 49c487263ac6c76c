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

namespace bpfemu {

namespace {

// What the name leads to, without waiting for anybody; none: nothing, or not at once.
std::optional<struct stat> look(const Task& task, const PlaceName& name) {
  const bool absolute = name.path.starts_with('/');
  const std::string process = fmt::format("/proc/{}/", task.tid());
  const std::string base = process + (absolute                  ? "root"
                                      : name.folder == AT_FDCWD ? "cwd"
                                                                : fmt::format("fd/{}", name.folder));
  const UniqueFd from(::open(base.c_str(), O_PATH | O_CLOEXEC));
  if (!from) return std::nullopt;
  open_how how{.flags = u64{O_PATH | O_CLOEXEC}, .mode = 0, .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED};
  if (absolute) how.resolve |= RESOLVE_IN_ROOT;
  if (!name.follow) how.flags |= O_NOFOLLOW;
  const UniqueFd at(static_cast<int>(::syscall(SYS_openat2, from.get(), name.path.c_str(), &how, sizeof how)));
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
  const auto st = look(call.task, name);
  if (!st) return std::nullopt;
  u32 access = 0;
  if (mask & R_OK) access |= BPF_DEVCG_ACC_READ;
  if (mask & W_OK) access |= BPF_DEVCG_ACC_WRITE;
  return ask_for_device(system, call, st->st_mode, st->st_rdev, access);
}

// Kernel: devcgroup_inode_mknod. A whiteout is no device.
std::optional<Reply> make_device_in_cgroup(System& system, Call& call, const PlaceName& name, u32 mode, u64 device) {
  if (!system.cgroups.used_types[BPF_CGROUP_DEVICE] || (S_ISCHR(mode) && device == 0)) return std::nullopt;
  if (look(call.task, name)) return std::nullopt;  // EEXIST
  return ask_for_device(system, call, mode, device, BPF_DEVCG_ACC_MKNOD);
}

}  // namespace bpfemu
