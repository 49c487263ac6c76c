// SPDX-License-Identifier: Apache-2.0
// Where the host has mounted a tracefs, a debugfs, a cgroup2 or a bpffs of its own, at whatever place, the model's is seen instead.
#include <fstream>
#include <sstream>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

struct HostMount {
  std::string within, point, type;  // what of the file system is mounted, and where
};

// "\040" is a space.
std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool escape = text[i] == '\\' && i + 3 < text.size();
    auto digit = [&](size_t at) { return (text[i + at] - '0') & 7; };
    out += escape ? static_cast<char>(digit(1) << 6 | digit(2) << 3 | digit(3)) : text[i];
    if (escape) i += 3;
  }
  return out;
}

// A line of mountinfo: "36 35 98:0 /folder /mnt rw,noatime shared:1 - ext3 /dev/root rw".
HostMount parsed(const std::string& line) {
  HostMount mount;
  std::string skipped;
  std::istringstream columns(line);
  columns >> skipped >> skipped >> skipped >> mount.within >> mount.point;
  size_t dash = line.find(" - ");
  if (dash != std::string::npos) std::istringstream(line.substr(dash + 3)) >> mount.type;
  mount.point = unescaped(mount.point);
  return mount;
}

NodePtr stand_in(Vfs& vfs, const HostMount& mount) {
  if (mount.type == "bpf") return vfs.new_bpffs();
  const char* usual = mount.type == "tracefs"   ? kTracefsMount
                      : mount.type == "debugfs" ? kDebugfsMount
                      : mount.type == "cgroup2" ? kCgroupMount
                                                : nullptr;
  return usual ? vfs.at(usual + mount.within) : nullptr;
}

}  // namespace

void place_host_mounts(Vfs& vfs) {
  std::ifstream list("/proc/self/mountinfo");
  for (std::string line; std::getline(list, line);) {
    HostMount mount = parsed(line);
    NodePtr there = vfs.at(mount.point);
    bool is_folder = there && there->kind() == Node::Kind::kDirectory;
    // The usual places, and what is below them, are ours already; of cgroups all versions.
    if (vfs.mount_of(mount.point) == kCgroupMount) continue;
    if (there && !(is_folder && static_cast<Directory&>(*there).overlay())) continue;
    if (NodePtr node = stand_in(vfs, mount)) vfs.cover(mount.point, std::move(node), true);
  }
}

}  // namespace bpfemu
