// SPDX-License-Identifier: Apache-2.0
// Mounting what tools mount: file systems of the claimed kernel, which the synthetic tree has.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/host_tree.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

constexpr std::string_view kModelled[] = {"bpf", "tracefs", "debugfs", "cgroup2"};
constexpr std::string_view kCgroupOptions[] = {"nsdelegate", "favordynmods", "memory_localevents",
                                               "memory_recursiveprot"};
constexpr size_t kMaxType = 32, kMaxOptions = 4096;
constexpr u64 kPropagation = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;

// Of cgroup2, which has these alone (kernel: cgroup2_fs_parameters).
Result<void> check_cgroup_options(Call& call) {
  if (!call.args[4]) return {};
  const std::string text = TRY(call.task.read_string(call.args[4], kMaxOptions));
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    if (!word.empty() && std::ranges::find(kCgroupOptions, word) == std::end(kCgroupOptions)) return fail(EINVAL);
  }
  return {};
}

// "mode=755,uid=0": what these file systems understand of mount's data; EINVAL.
Result<AttributeChange> options(Call& call) {
  AttributeChange change;
  if (!call.args[4]) return change;
  std::string text = TRY(call.task.read_string(call.args[4], kMaxOptions));
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    size_t equals = std::min(word.find('='), word.size());
    std::string_view name = word.substr(0, equals), digits = word.substr(std::min(equals + 1, word.size()));
    u32 value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, name == "mode" ? 8 : 10);
    bool known = name == "mode" || name == "uid" || name == "gid";
    if (word.empty() || !known) continue;
    if (error != std::errc() || end != digits.data() + digits.size()) return fail(EINVAL);
    (name == "mode" ? change.mode : name == "uid" ? change.uid : change.gid) = value;
  }
  return change;
}

Result<void> configure(System& system, Call& call, const Found& mounted) {
  AttributeChange change = TRY(options(call));
  if (!change.mode && !change.uid && !change.gid) return {};
  return system.vfs->change({}, mounted, change);
}

// Remounting and changes of propagation, of a mount of ours.
Reply change_mount(System& system, Call& call, const Found& target, u64 flags) {
  if (!system.vfs->is_mount(target.path)) return Reply::answer(-EINVAL);
  bool remount = (flags & MS_REMOUNT) && !(flags & MS_BIND) && target.node->type->magic != kBpffs.magic;
  return Reply::answer(remount ? configure(system, call, target) : Result<void>());
}

Reply new_mount(System& system, Call& call, const Found& target, const std::string& type) {
  TaskRoot root = root_of(system, call.task);
  struct stat st;
  if (!target.ours()) {
    std::string folder = root.anchor + target.path;
    if (::stat(folder.c_str(), &st) != 0) return Reply::answer(-s64{errno});
    if (!S_ISDIR(st.st_mode)) return Reply::answer(-ENOTDIR);
  }
  const bool cgroups = type == kCgroup2.name;
  if (cgroups) {
    if (auto known = check_cgroup_options(call); !known) return Reply::answer(known);
  }
  auto mounted = system.vfs->mount(type, target, root.name);
  if (!mounted) return Reply::answer(mounted);
  Found place{.where = Found::Where::kOurs, .node = system.vfs->at(root.name + target.path), .path = target.path};
  if (cgroups) return Reply::answer(s64{0});
  return Reply::answer(type == "bpf" || call.args[4] ? configure(system, call, place) : Result<void>());
}

// Is something open in the mount, or somebody in one of its folders?
bool is_busy(System& system, const std::string& mount) {
  system.files.reap();
  bool busy = false;
  system.files.for_each([&](File& file) {
    NodeFile* node = file.node();
    if (!node) return;
    const std::string& path = node->found().path;
    busy |= path == mount || path.starts_with(mount + "/");
  });
  return busy;
}

// The root of a user namespace may do in mounts of its own what FS_USERNS_MOUNT allows, which bpffs alone has.
bool may_mount(System& system, const Task& task, std::string_view type) {
  if (system.capabilities(task).sys_admin) return true;
  auto facts = system.host.facts(task.tid());
  if (type != kBpffs.name || !facts || !(facts->local_capabilities >> CAP_SYS_ADMIN & 1)) return false;
  return link_text("/proc/self/ns/mnt") != link_text(fmt::format("/proc/{}/ns/mnt", task.tid()));
}

bool is_modelled(std::string_view type) {
  return std::find(std::begin(kModelled), std::end(kModelled), type) != std::end(kModelled);
}

// Hierarchies of version 1 are the host's.
bool is_cgroup(std::string_view type) { return type == "cgroup"; }

}  // namespace

Reply enter_mount(System& system, Call& call) {
  system.host_paths.forget();
  u64 flags = call.args[3];
  bool changes = flags & (MS_REMOUNT | kPropagation), moves = flags & (MS_BIND | MS_MOVE);
  auto type = changes || moves ? Result<std::string>("") : call.task.read_string(call.args[2], kMaxType);
  auto text = read_path(call.task, call.args[1]);
  if (!type || !text || text->empty()) return Reply::native();
  auto target = find(system, call.task, AT_FDCWD, *text, {.exact = true});
  if (!target) return Reply::answer(-s64{target.error().value});
  if (!target->ours() && !is_modelled(*type)) {
    system.roots_differ |= !(flags & kPropagation);
    bool notes = is_cgroup(*type) && system.capabilities(call.task).sys_admin;
    return notes ? Reply::native_then_exit() : Reply::native();
  }
  if (!may_mount(system, call.task, changes ? target->node->type->name : *type)) return Reply::answer(-EPERM);
  if (changes) return change_mount(system, call, *target, flags);
  if (is_modelled(*type)) return new_mount(system, call, *target, *type);
  system.unmodelled.note("mounting " + (type->empty() ? "a folder" : *type) + " at " + target->path);
  return Reply::answer(type->empty() ? -EINVAL : -ENODEV);
}

Reply enter_umount(System& system, Call& call) {
  system.host_paths.forget();
  auto text = read_path(call.task, call.args[0]);
  if (!text || text->empty()) return Reply::native();
  auto target = find(system, call.task, AT_FDCWD, *text, {.follow = !(call.args[1] & UMOUNT_NOFOLLOW)});
  if (!target) return Reply::answer(-s64{target.error().value});
  if (!target->ours()) {
    system.roots_differ = true;
    return Reply::native();
  }
  if (!may_mount(system, call.task, target->node->type->name)) return Reply::answer(-EPERM);
  if (!(call.args[1] & MNT_DETACH) && is_busy(system, target->path)) return Reply::answer(-EBUSY);
  auto done = system.vfs->umount(*target, root_of(system, call.task).name);
  if (done || !system.vfs->is_mount(target->path)) return Reply::answer(done);
  system.unmodelled.note("unmounting " + target->path);
  return Reply::answer(-EBUSY);
}

// The other way to mount. Without it tools go back to mount(), as on kernels before 5.2.
Reply enter_fsopen(System& system, Call& call) {
  auto type = call.task.read_string(call.args[0], kMaxType);
  if (!type || !(is_modelled(*type) || is_cgroup(*type)) || !system.capabilities(call.task).sys_admin)
    return Reply::native();
  if (is_cgroup(*type)) return Reply::native_then_exit();
  system.unmodelled.note("fsopen() of " + *type);
  return Reply::answer(-ENOSYS);
}

// The host's: what it refuses for want of privilege, root on the claimed kernel could.
s64 exit_mount(System& system, Call& call, s64 result) {
  auto type = call.task.read_string(call.args[call.number == SYS_mount ? 2 : 0], kMaxType);
  if (result == -EPERM && type && is_cgroup(*type)) system.unmodelled.note("mounting " + *type);
  return result;
}

}  // namespace bpfemu
