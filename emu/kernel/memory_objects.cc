// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/memory_objects.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <optional>
#include <string>

#include "emu/base/proc_files.h"

namespace bpfemu {

namespace {

constexpr u64 kRead = 1, kWrite = 2, kExec = 4, kShared = 8, kMay = 0x70, kMayShare = 0x80;  // kernel: VM_READ, ...

// A line of /proc/PID/maps.
struct Area {
  u64 start = 0, end = 0, flags = kMay, offset = 0, inode = 0;
  u32 major = 0, minor = 0;
  std::string path;
};

std::optional<Area> parse(const std::string& line) {
  Area area;
  char rights[5] = {};
  int path_at = 0;
  if (sscanf(line.c_str(), "%lx-%lx %4s %lx %x:%x %lu %n", &area.start, &area.end, rights, &area.offset, &area.major,
             &area.minor, &area.inode, &path_at) < 7)
    return std::nullopt;
  if (rights[0] == 'r') area.flags |= kRead;
  if (rights[1] == 'w') area.flags |= kWrite;
  if (rights[2] == 'x') area.flags |= kExec;
  if (rights[3] == 's') area.flags |= kShared | kMayShare;
  if (path_at) area.path = line.substr(static_cast<size_t>(path_at));
  return area;
}

std::optional<Area> find(pid_t tgid, u64 address) {
  const std::string maps = read_proc(tgid, "maps").value_or("");
  for (size_t at = 0; at < maps.size();) {
    const size_t end = std::min(maps.find('\n', at), maps.size());
    const auto area = parse(maps.substr(at, end - at));
    if (area && address < area->end) return address >= area->start ? area : std::nullopt;
    at = end + 1;
  }
  return std::nullopt;
}

}  // namespace

KernelObject MemoryObjects::area(pid_t tgid, u64 mm, u64 address) {
  const auto found = find(tgid, address);
  if (!found) return {};
  const KernelObject area =
      space_.object(space_.structure("vm_area_struct"), fmt::format("{:x} {:x} {:x}", mm, found->start, found->end));
  area.set("vm_start", found->start);
  area.set("vm_end", found->end);
  area.set("vm_mm", mm);
  area.set("vm_flags", found->flags);
  area.set("vm_pgoff", found->offset >> 12);
  u64 file = 0;
  if (found->inode != 0) {
    // The file itself is to be had by its name alone, and by that of the program.
    for (const std::string& link : {std::string("exe"), "root" + found->path}) {
      auto facts = mounts_.describe_link(tgid, link.c_str());
      if (!facts || facts->inode.ino != found->inode) continue;
      facts->tgid = tgid;
      facts->readable = true;
      file = files_.file(*facts).address();
      break;
    }
  }
  area.set("vm_file", file);
  return area;
}

}  // namespace bpfemu
