// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/path.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "emu/syscalls/host_tree.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/quiet_paths.h"

namespace bpfemu {

namespace {

// The folder that relative paths start from: ENOTDIR. No path: a wrong descriptor.
Result<Found> base_folder(System& system, Task& task, int dirfd) {
  std::string process = "/proc/" + std::to_string(task.tid());
  if (dirfd == AT_FDCWD) {
    if (auto folder = current_folder(system, task)) return *folder;
    return Found{.path = link_text(process + "/cwd")};
  }
  auto file = system.files.ours(task, dirfd);
  if (!file) return Found{.path = link_text(process + "/fd/" + std::to_string(dirfd))};
  if (!file->node() || !file->node()->found().directory()) return fail(ENOTDIR);
  return file->node()->found();
}

struct Base {
  TaskRoot root;
  Found folder;
  bool hosts_alone = false;  // nothing of ours can be on the way
  std::string entrance = {}; // then: the place, when names below it may be ours
};

// The folder is known by its path from our root, the walk goes from the task's.
void start_below_root(Base& base) {
  std::string& path = base.folder.path;
  const std::string& top = base.root.path;
  if (top == "/") return;
  if (path == top) {
    path = "/";
  } else if (path.starts_with(top + "/")) {
    path.erase(0, top.size());
  } else {
    base.root = {};  // a folder that was opened before the root changed
  }
}

// A name in a folder of the host's whose path has no links (it is /proc's), itself not followed: there is nothing to walk.
bool is_name(const std::string& text, const How& how) {
  return !how.follow && text.find('/') == std::string::npos && text != "." && text != "..";
}

void look_whether_hosts(System& system, Base& base, const std::string& whole, bool follow) {
  HostsAlone alone = is_hosts_alone(whole, follow, *system.vfs);
  base.hosts_alone = alone != HostsAlone::kNo;
  if (alone == HostsAlone::kEntrance) base.entrance = whole;
  if (alone == HostsAlone::kYes) system.host_paths.learn(whole, follow);
}

Result<Base> base_of(System& system, Task& task, int dirfd, const std::string& text, const How& how) {
  Base base;
  if (text.empty()) return fail(ENOENT);
  bool in_root = how.resolve & RESOLVE_IN_ROOT;
  bool absolute = text[0] == '/' && !in_root;
  if (!absolute) base.folder = TRY(base_folder(system, task, dirfd));
  if (base.folder.ours()) {
    base.root = root_of(system, task);
    return base;
  }
  // Not below any root, or no folder: the kernel's business.
  if (!absolute && !base.folder.path.starts_with('/')) {
    base.hosts_alone = true;
    return base;
  }
  base.root = root_of(system, task);
  if (!base.root.anchor.empty()) {
    if (!absolute) start_below_root(base);
    return base;
  }
  if (how.exact || in_root) return base;
  std::string whole = absolute ? text : base.folder.path + (base.folder.path == "/" ? "" : "/") + text;
  if (!absolute && is_name(text, how) && !system.vfs->concerns(whole)) {
    base.hosts_alone = true;
    if (system.vfs->concerns(whole + "/")) base.entrance = whole;
    return base;
  }
  base.hosts_alone = system.host_paths.known(whole, how.follow);
  // Most paths are asked for once: room is for those that come again.
  if (absolute && base.hosts_alone) system.quiet_paths->admit(text, how.follow);
  if (!base.hosts_alone) look_whether_hosts(system, base, whole, how.follow);
  return base;
}

Walk walk_of(const std::string& text, const Base& base, const Credentials& who, const How& how) {
  return {.text = text, .start = base.folder, .who = who, .root = base.root.name, .follow = how.follow,
          .create = how.create, .resolve = how.resolve};
}

// A path that the kernel refuses to copy is refused by it.
bool is_empty_path(Call& call, PathArgument argument, const std::string& text) {
  return text.empty() && argument.flags >= 0 && (call.args[static_cast<size_t>(argument.flags)] & AT_EMPTY_PATH);
}

}  // namespace

size_t first_after_path(long number) {
  switch (number) {
    case SYS_fchmodat:
    case SYS_fchownat: return 2;
    default: return 1;
  }
}

const DescriptorPath* descriptor_of(const Found& found) {
  return found.anonymous() ? &static_cast<DescriptorNode&>(*found.node).path : nullptr;
}

Result<std::string> read_path(Task& task, u64 address) { return task.read_string(address, PATH_MAX); }

Result<Found> find(System& system, Task& task, int dirfd, const std::string& text, const How& how) {
  Base base = TRY(base_of(system, task, dirfd, text, how));
  if (base.hosts_alone) return Found{.path = base.entrance};
  TaskTree tree(system, task, base.root);
  Credentials who = system.credentials(task);
  return look_up(*system.vfs, tree, walk_of(text, base, who, how));
}

Result<Parent> find_parent(System& system, Task& task, int dirfd, const std::string& text, bool exact) {
  Base base = TRY(base_of(system, task, dirfd, text, {.follow = false, .exact = exact}));
  if (base.hosts_alone) return Parent{};
  TaskTree tree(system, task, base.root);
  Credentials who = system.credentials(task);
  return look_up_parent(*system.vfs, tree, walk_of(text, base, who, {.follow = false}));
}

Found find_descriptor(System& system, Task& task, int fd) {
  if (fd == AT_FDCWD) return current_folder(system, task).value_or(Found{});
  auto file = system.files.ours(task, fd);
  if (!file) return {};
  if (file->node()) return file->node()->found();
  return {Found::Where::kOurs, std::make_shared<DescriptorNode>(DescriptorPath{&task, fd, file}), {}};
}

Reply redirect(Call& call, const std::vector<std::pair<PathArgument, std::string>>& paths) {
  size_t size = 0;
  for (auto& [argument, path] : paths) size += path.size() + 1;
  if (size > PATH_MAX) return Reply::answer(-ENAMETOOLONG);
  auto scratch = call.task.scratch(size);
  if (!scratch) return Reply::answer(-s64{scratch.error().value});
  u64 at = *scratch;
  for (auto& [argument, path] : paths) {
    auto written = call.task.write(at, path.c_str(), path.size() + 1);
    if (!written) return Reply::answer(written);
    call.args[static_cast<size_t>(argument.path)] = at;
    at += path.size() + 1;
  }
  return Reply::rewritten();
}

int directory_of(const Call& call, PathArgument argument) {
  return argument.directory < 0 ? AT_FDCWD : static_cast<int>(call.args[static_cast<size_t>(argument.directory)]);
}

bool follows(const Call& call, PathArgument argument) {
  return argument.flags < 0 || !(call.args[static_cast<size_t>(argument.flags)] & AT_SYMLINK_NOFOLLOW);
}

Reply on_target(System& system, Call& call, PathArgument argument, const How& how, TargetHandler answer) {
  auto text = read_path(call.task, call.args[static_cast<size_t>(argument.path)]);
  if (!text) return Reply::native();
  int folder = directory_of(call, argument);
  if (is_empty_path(call, argument, *text)) {
    Found found = find_descriptor(system, call.task, folder);
    return found.ours() ? answer(system, call, found) : Reply::native();
  }
  if (text->empty()) return Reply::native();
  auto found = find(system, call.task, folder, *text, how);
  // A wrong descriptor is the kernel's to refuse.
  if (!found && found.error().value == EBADF) return Reply::native();
  if (!found) return Reply::answer(-s64{found.error().value});
  switch (found->where) {
    case Found::Where::kHost: return Reply::native();
    case Found::Where::kElsewhere: return redirect(call, {{argument, found->path}});
    case Found::Where::kOurs: return answer(system, call, *found);
  }
  return Reply::native();
}

}  // namespace bpfemu
