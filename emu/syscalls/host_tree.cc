// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/host_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "emu/syscalls/fdinfo.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/path.h"
#include "emu/syscalls/status.h"

namespace bpfemu {

namespace {

std::optional<int> number(std::string_view text) {
  int value;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view next_part(std::string_view& rest) {
  size_t slash = rest.find('/');
  std::string_view part = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return part;
}

// A descriptor for the place that the kernel finds, without waiting for anybody: the file systems of traced processes
// (FUSE) would wait for a process that waits for us.
UniqueFd walked(const std::string& path, u64 flags, u64 resolve) {
  open_how how{.flags = flags | O_PATH | O_CLOEXEC, .mode = 0, .resolve = resolve | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED};
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
}

bool has_dots(const std::string& path) { return path.find("/..") != std::string::npos; }

HostEntry jump_to(Found place, std::string text) {
  return {HostEntry::Kind::kJump, std::move(text), std::move(place)};
}

HostEntry text_node(std::string text, u32 mode) {
  auto node = std::make_shared<TextFile>(mode, kProcfs, [text = std::move(text)] { return text; });
  return {HostEntry::Kind::kNode, {}, Found{Found::Where::kOurs, std::move(node), {}}};
}

}  // namespace

std::string link_text(const std::string& path) {
  char target[PATH_MAX];
  ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<size_t>(size));
}

TaskRoot root_of(System& system, const Task& task) {
  if (!system.roots_differ) return {};
  std::string process = fmt::format("/proc/{}", task.tid()), root = process + "/root";
  struct stat own, its;
  if (::stat("/", &own) != 0 || ::stat(root.c_str(), &its) != 0) return {};
  bool same_namespace = link_text("/proc/self/ns/mnt") == link_text(process + "/ns/mnt");
  bool same_root = own.st_dev == its.st_dev && own.st_ino == its.st_ino;
  if (same_root) return {same_namespace ? std::string() : root, {}};
  std::string path = link_text(root);
  return {root, same_namespace ? path : fmt::format("/\1{}:{}", its.st_dev, its.st_ino), path};
}

std::vector<std::string> served_mounts(System& system, const Task& task) {
  std::vector<std::string> mounts;
  if (!system.roots_differ) return mounts;
  std::ifstream list(fmt::format("/proc/{}/mountinfo", task.tid()));
  for (std::string line, skipped, point; std::getline(list, line);) {
    if (line.find(" - fuse") == std::string::npos) continue;
    std::istringstream(line) >> skipped >> skipped >> skipped >> skipped >> point;
    mounts.push_back(point);
  }
  return mounts;
}

bool is_served(const std::vector<std::string>& mounts, const std::string& path) {
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const std::string& mount) { return path == mount || path.starts_with(mount + "/"); });
}

HostEntry TaskTree::linked(const std::string& path) const {
  if (is_served(served_, path)) return {HostEntry::Kind::kMissing, {}, {}};
  char target[PATH_MAX];
  ssize_t size = ::readlink((root_.anchor + path).c_str(), target, sizeof target);
  if (size >= 0) return {HostEntry::Kind::kLink, std::string(target, static_cast<size_t>(size)), {}};
  return {errno == EINVAL ? HostEntry::Kind::kOther : HostEntry::Kind::kMissing, {}, {}};
}

HostEntry TaskTree::look(const std::string& path) {
  constexpr std::string_view proc = "/proc/";
  if (path.starts_with(proc)) return of_process(std::string_view(path).substr(proc.size()), path);
  return linked(path);
}

// Does the task's /proc number processes as its own pid namespace does, and not as ours?
bool TaskTree::numbers_locally() const {
  struct stat own, its;
  return !root_.anchor.empty() && ::stat("/proc", &own) == 0 && ::stat((root_.anchor + "/proc").c_str(), &its) == 0 &&
         own.st_dev != its.st_dev;
}

// "/proc/PID/..." and "/proc/PID/task/TID/...": "self" as the caller means it, and where magic links lead.
HostEntry TaskTree::of_process(std::string_view rest, const std::string& path) {
  std::string_view part = next_part(rest);
  bool local = numbers_locally();
  if (rest.empty() && (part == "self" || part == "thread-self")) {
    Result<TaskFacts> facts = fail(ESRCH);
    if (local) facts = system_.host.facts(task_.tid());
    pid_t tgid = facts ? facts->local_tgid : task_.tgid(), tid = facts ? facts->local_tid : task_.tid();
    return {HostEntry::Kind::kLink, part == "self" ? std::to_string(tgid) : fmt::format("{}/task/{}", tgid, tid), {}};
  }
  auto pid = number(part);
  part = next_part(rest);
  if (pid && part == "task" && !rest.empty()) {
    pid = number(next_part(rest));
    part = next_part(rest);
  }
  if (!pid || part.empty()) return linked(path);
  Task* owner = local ? system_.host.find_local(task_, *pid) : system_.host.find_task(*pid);
  if (rest.empty() && part == "status") {
    auto text = status_text(system_, path);
    return text ? text_node(std::move(*text), 0444) : HostEntry{};
  }
  if (owner && (part == "fd" || part == "fdinfo") && !rest.empty()) return descriptor(*owner, rest, part == "fdinfo", path);
  bool magic = rest.empty() ? part == "cwd" || part == "root" || part == "exe" : part == "fd" || part == "map_files";
  if (!magic) return linked(path);
  if (owner && part == "cwd") {
    if (auto folder = current_folder(system_, *owner)) {
      return jump_to(*folder, folder->path + (folder->node->links == 0 ? " (deleted)" : ""));
    }
  }
  if (owner && part == "root" && root_of(system_, *owner).name == root_.name) return jump_to({.path = "/"}, "/");
  // From another root the text would mean something else.
  std::string target = root_.anchor.empty() ? link_text(path) : std::string();
  if (!target.starts_with('/') || target.ends_with(" (deleted)")) return {HostEntry::Kind::kMissing, {}, {}};
  return jump_to({.path = target}, target);
}

HostEntry TaskTree::descriptor(Task& owner, std::string_view digits, bool info, const std::string& path) {
  auto fd = number(digits);
  auto file = fd ? system_.files.find(owner, *fd) : nullptr;
  if (!file || !*file) {
    if (info || !root_.anchor.empty()) return {};
    std::string target = link_text(path);
    if (!target.starts_with('/') || target.ends_with(" (deleted)")) return {};
    return jump_to({.path = target}, target);
  }
  if (info) {
    system_.networks.look_again(task_);
    auto text = fdinfo_text({&owner, *fd, *file});
    return text ? text_node(std::move(*text), 0400) : HostEntry{HostEntry::Kind::kMissing, {}, {}};
  }
  std::string text = (*file)->link_name();
  if (NodeFile* node = (*file)->node()) return jump_to(node->found(), std::move(text));
  auto place = std::make_shared<DescriptorNode>(DescriptorPath{&owner, *fd, *file});
  return jump_to({Found::Where::kOurs, std::move(place), path}, std::move(text));
}

HostsAlone is_hosts_alone(const std::string& path, bool follow, const Vfs& vfs) {
  if (vfs.concerns(path)) return HostsAlone::kNo;
  auto alone = [&](const std::string& place) {
    return vfs.concerns(place + "/") ? HostsAlone::kEntrance : HostsAlone::kYes;
  };
  u64 flags = follow ? 0 : O_NOFOLLOW;
  bool plain = path.find("//") == path.npos && path.find("/.") == path.npos;
  if (!has_dots(path)) {
    UniqueFd place = walked(path, flags, RESOLVE_NO_SYMLINKS);
    if (place && !plain) return alone(link_text(fmt::format("/proc/self/fd/{}", place.get())));
    if (place || errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ENAMETOOLONG) return alone(path);
  }
  UniqueFd place = walked(path, flags, 0);
  if (!place) return HostsAlone::kNo;
  std::string reached = link_text(fmt::format("/proc/self/fd/{}", place.get()));
  return reached.empty() || vfs.concerns(reached) ? HostsAlone::kNo : alone(reached);
}

}  // namespace bpfemu
