// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/areas.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "emu/base/proc_files.h"

namespace bpfemu {

static std::optional<Area> parse_area(const std::string& line) {
  Area area;
  char rights[5];
  int path = 0;
  if (::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %lu %n", &area.start, &area.end, rights, &area.offset, &area.inode,
               &path) != 5)
    return std::nullopt;
  constexpr u64 kRead = 1, kWrite = 2, kExec = 4, kShared = 8, kMay = 0x70;
  area.flags = kMay | (rights[0] == 'r' ? kRead : 0) | (rights[1] == 'w' ? kWrite : 0) |
               (rights[2] == 'x' ? kExec : 0) | (rights[3] == 's' ? kShared | kShared << 4 : 0);
  if (path) area.path = line.substr(static_cast<size_t>(path));
  return area;
}

std::vector<Area> areas_in(pid_t tid, u64 start, u64 end) {
  std::vector<Area> found;
  const std::string maps = read_proc(tid, "maps").value_or("");
  for (size_t at = 0; at < maps.size() && start < end;) {
    const size_t next = std::min(maps.find('\n', at), maps.size());
    const auto area = parse_area(maps.substr(at, next - at));
    at = next + 1;
    if (!area || area->end <= start) continue;
    if (area->start > start) break;
    start = area->end;
    found.push_back(*area);
  }
  return found;
}

}  // namespace bpfemu
