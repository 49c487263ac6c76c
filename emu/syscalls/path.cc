// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/path.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <charconv>
#include <string_view>
#include <vector>

#include "emu/syscalls/dir_file.h"

namespace bpfemu {

namespace {

std::string link_target(const std::string& link) {
  char target[PATH_MAX];
  ssize_t size = readlink(link.c_str(), target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<size_t>(size));
}

bool starts_with(std::string_view text, std::string_view head) { return text.substr(0, head.size()) == head; }

// The folder that relative paths start from: EBADF, ESRCH.
Result<std::string> base_folder(System& system, Task& task, int dirfd) {
  std::string process = "/proc/" + std::to_string(task.tid());
  if (dirfd == AT_FDCWD) return link_target(process + "/cwd");
  auto file = TRY(system.files.find(task, dirfd));
  if (file) {
    if (auto* directory = file->directory()) return directory->path();
  }
  return link_target(process + "/fd/" + std::to_string(dirfd));
}

// "/proc/self/x" and "/proc/thread-self/x" as the caller means them.
std::string spell_out_self(const Task& task, const std::string& path) {
  constexpr std::string_view self = "/proc/self", thread_self = "/proc/thread-self";
  auto with = [&](std::string_view head, const std::string& place) -> std::optional<std::string> {
    if (!starts_with(path, head) || (path.size() > head.size() && path[head.size()] != '/')) return std::nullopt;
    if (path.size() == head.size()) return std::nullopt;  // the link itself is the host's
    return "/proc/" + place + path.substr(head.size());
  };
  std::string group = std::to_string(task.tgid());
  if (auto spelled = with(self, group)) return *spelled;
  if (auto spelled = with(thread_self, group + "/task/" + std::to_string(task.tid()))) return *spelled;
  return path;
}

// Without ".", ".." and doubled slashes. Good enough to see where a path leads: our folders have no links to elsewhere.
std::string tidy(const std::string& path) {
  std::vector<std::string_view> parts;
  std::string_view rest = path;
  while (!rest.empty()) {
    size_t slash = rest.find('/');
    std::string_view part = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.push_back(part);
  }
  std::string tidied;
  for (auto part : parts) tidied.append("/").append(part);
  return tidied.empty() ? "/" : tidied;
}

bool untidy(const std::string& path) {
  return path.find("//") != std::string::npos || path.find("/.") != std::string::npos;
}

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

}  // namespace

Result<std::string> read_path(Task& task, u64 address) { return task.read_string(address, PATH_MAX); }

Result<std::string> absolute_path(System& system, Task& task, int dirfd, const std::string& path) {
  if (path.empty()) return fail(ENOENT);
  std::string absolute = path;
  if (path[0] != '/') absolute = TRY(base_folder(system, task, dirfd)) + "/" + path;
  if (untidy(absolute)) absolute = tidy(absolute);
  return spell_out_self(task, absolute);
}

std::optional<std::string> our_path(System& system, Task& task, int dirfd, const std::string& path) {
  if (path.empty()) return std::nullopt;
  bool plain = path[0] == '/' && !untidy(path);
  if (plain && !system.vfs->concerns(path)) return std::nullopt;
  auto absolute = absolute_path(system, task, dirfd, path);
  if (!absolute || !system.vfs->concerns(*absolute)) return std::nullopt;
  return *absolute;
}

std::optional<DescriptorPath> descriptor_path(System& system, const std::string& absolute) {
  std::string_view rest = absolute;
  if (!starts_with(rest, "/proc/")) return std::nullopt;
  rest.remove_prefix(6);
  auto pid = number(next_part(rest));
  if (!pid) return std::nullopt;
  std::string_view part = next_part(rest);
  if (part == "task") {
    pid = number(next_part(rest));
    part = next_part(rest);
  }
  if (!pid || (part != "fd" && part != "fdinfo")) return std::nullopt;
  auto fd = number(rest);
  Task* task = fd ? system.host.find_task(*pid) : nullptr;
  if (!task) return std::nullopt;
  auto file = system.files.find(*task, *fd);
  if (!file || !*file) return std::nullopt;
  return DescriptorPath{task, *fd, *file, part == "fdinfo"};
}

Reply redirect(Call& call, PathArgument argument, const std::string& path) {
  auto scratch = call.task.scratch(path.size() + 1);
  if (!scratch) return Reply::native();
  if (!call.task.write(*scratch, path.c_str(), path.size() + 1)) return Reply::native();
  call.args[static_cast<size_t>(argument.path)] = *scratch;
  return Reply::rewritten();
}

int directory_of(const Call& call, PathArgument argument) {
  return argument.directory < 0 ? AT_FDCWD : static_cast<int>(call.args[static_cast<size_t>(argument.directory)]);
}

Reply on_target(System& system, Call& call, PathArgument argument, bool follow, TargetHandler answer) {
  auto text = read_path(call.task, call.args[static_cast<size_t>(argument.path)]);
  return text ? on_target(system, call, argument, *text, follow, answer) : Reply::native();
}

Reply on_target(System& system, Call& call, PathArgument argument, const std::string& text, bool follow,
                TargetHandler answer) {
  auto path = our_path(system, call.task, directory_of(call, argument), text);
  if (!path) return Reply::native();

  Target target{.path = *path, .descriptor = descriptor_path(system, *path), .found = {}};
  if (target.descriptor) return answer(system, call, target);
  auto found = system.vfs->lookup(*path, follow);
  if (!found) return Reply::answer(-s64{found.error().value});
  target.found = std::move(*found);
  switch (target.found.where) {
    case Found::Where::kHost: return Reply::native();
    case Found::Where::kElsewhere: return redirect(call, argument, target.found.path);
    case Found::Where::kOurs: return answer(system, call, target);
  }
  return Reply::native();
}

}  // namespace bpfemu
