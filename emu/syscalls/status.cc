// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/status.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <string_view>

namespace bpfemu {

namespace {

// The thread that "/proc/PID/status" or "/proc/PID/task/TID/status" is about.
std::optional<pid_t> thread_of(std::string_view path) {
  constexpr std::string_view head = "/proc/", tail = "/status", task = "/task/";
  if (!path.starts_with(head) || !path.ends_with(tail)) return std::nullopt;
  path.remove_prefix(head.size());
  path.remove_suffix(tail.size());
  if (size_t at = path.find(task); at != std::string_view::npos) path.remove_prefix(at + task.size());
  pid_t tid = 0;
  auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), tid);
  if (error != std::errc() || end != path.data() + path.size()) return std::nullopt;
  return tid;
}

// "Groups:\t5 100 ", as such a namespace has them.
std::string groups(std::string_view line, const Root& root) {
  std::string text = "Groups:\t";
  const char *at = line.data() + text.size(), *end = line.data() + line.size();
  for (u32 group = 0; at < end; ++at) {
    auto [next, error] = std::from_chars(at, end, group);
    if (error != std::errc()) break;
    text += fmt::format("{}{}", text.ends_with('\t') ? "" : " ", root.shown_gid(group));
    at = next;
  }
  return text + " \n";
}

std::string replaced(std::string_view line, const CapabilitySets& sets, const Root& root) {
  if (line.starts_with("Groups:\t")) return groups(line, root);
  const struct {
    std::string_view name;
    std::string value;
  } shown[] = {{"Uid:", "0\t0\t0\t0"},
               {"Gid:", "0\t0\t0\t0"},
               {"TracerPid:", "0"},
               {"NoNewPrivs:", fmt::format("{:d}", sets.no_new_privs)},
               {"Seccomp:", "0"},
               {"Seccomp_filters:", "0"},
               {"CapInh:", fmt::format("{:016x}", sets.inheritable)},
               {"CapPrm:", fmt::format("{:016x}", sets.permitted)},
               {"CapEff:", fmt::format("{:016x}", sets.effective)},
               {"CapBnd:", fmt::format("{:016x}", sets.bounding)},
               {"CapAmb:", fmt::format("{:016x}", sets.ambient)}};
  for (auto& row : shown) {
    if (line.starts_with(row.name)) return fmt::format("{}\t{}\n", row.name, row.value);
  }
  return std::string(line);
}

}  // namespace

std::optional<std::string> status_text(System& system, const std::string& path) {
  auto tid = thread_of(path);
  if (!tid || !system.host.find_task(*tid)) return std::nullopt;
  system.host.show_cpus(*tid);
  if (!system.identities.root().answered()) return std::nullopt;
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (!file) return std::nullopt;
  CapabilitySets sets = system.identities.get(*tid);
  std::string text;
  char line[4096];
  while (std::fgets(line, sizeof line, file)) text += replaced(line, sets, system.identities.root());
  std::fclose(file);
  return text;
}

}  // namespace bpfemu
