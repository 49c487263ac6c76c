// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/memory_objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

#include "emu/base/proc_files.h"

namespace bpfemu {

namespace {

constexpr u64 kRead = 1, kWrite = 2, kExec = 4, kShared = 8, kMay = 0x70, kMayShare = 0x80;  // kernel: VM_READ, ...

std::optional<AreaFacts> parse(const std::string& line) {
  AreaFacts area;
  area.flags = kMay;
  char rights[5] = {};
  int path_at = 0;
  if (sscanf(line.c_str(), "%lx-%lx %4s %lx %*x:%*x %lu %n", &area.start, &area.end, rights, &area.offset, &area.inode,
             &path_at) < 5)
    return std::nullopt;
  if (rights[0] == 'r') area.flags |= kRead;
  if (rights[1] == 'w') area.flags |= kWrite;
  if (rights[2] == 'x') area.flags |= kExec;
  if (rights[3] == 's') area.flags |= kShared | kMayShare;
  if (path_at) area.path = line.substr(static_cast<size_t>(path_at));
  if (area.path == "[vsyscall]") return std::nullopt;  // no mapping of the process' own
  return area;
}

}  // namespace

std::vector<AreaFacts> MemoryObjects::areas(pid_t tgid) {
  std::vector<AreaFacts> found;
  const std::string maps = read_proc(tgid, "maps").value_or("");
  for (size_t at = 0; at < maps.size();) {
    const size_t end = std::min(maps.find('\n', at), maps.size());
    if (auto area = parse(maps.substr(at, end - at))) found.push_back(std::move(*area));
    at = end + 1;
  }
  return found;
}

KernelObject MemoryObjects::area(pid_t tgid, u64 mm, u64 address) {
  for (const AreaFacts& facts : areas(tgid)) {
    if (address < facts.end) return address >= facts.start ? object(tgid, mm, facts) : KernelObject();
  }
  return {};
}

KernelObject MemoryObjects::object(pid_t tgid, u64 mm, const AreaFacts& facts) {
  const KernelObject area =
      space_.object(space_.structure("vm_area_struct"), fmt::format("{:x} {:x} {:x}", mm, facts.start, facts.end));
  area.set("vm_start", facts.start);
  area.set("vm_end", facts.end);
  area.set("vm_mm", mm);
  area.set("vm_flags", facts.flags);
  area.set("vm_pgoff", facts.offset >> 12);
  u64 file = 0;
  if (facts.inode != 0) {
    // The file itself is to be had by its name alone, and by that of the program.
    for (const std::string& link : {std::string("exe"), "root" + facts.path}) {
      auto file_facts = mounts_.describe_link(tgid, link.c_str());
      if (!file_facts || file_facts->inode.ino != facts.inode) continue;
      file_facts->tgid = tgid;
      file_facts->readable = true;
      file = files_.file(*file_facts).address();
      break;
    }
  }
  area.set("vm_file", file);
  return area;
}

}  // namespace bpfemu
