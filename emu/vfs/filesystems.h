// SPDX-License-Identifier: Apache-2.0
// The parts of the tree, one file each. Each hangs its nodes into the tree; order does not matter.
#pragma once

#include "emu/vfs/vfs.h"

namespace bpfemu {

void place_tracefs(Vfs& vfs);  // and debugfs, which shows it too
void place_sysfs(Vfs& vfs);
void place_procfs(Vfs& vfs);
void place_bpffs(Vfs& vfs);
void place_cgroupfs(Vfs& vfs);
void place_boot(Vfs& vfs);
void place_host_mounts(Vfs& vfs);  // last

// tracefs' events folder.
std::shared_ptr<Directory> make_trace_events(VfsWorld& world);
// A folder of a bpffs, and the root of a new one.
std::shared_ptr<Directory> make_bpffs(u32 mode, const FileSystemType& type);
std::shared_ptr<Directory> make_bpffs_root(const FileSystemType& type);

// The cgroup that a folder is, null for everything else.
std::shared_ptr<Cgroup> cgroup_of(const Node& node);

// What was written, without the newline that echo adds.
inline std::string_view trimmed_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \t\n") + 1);
}

inline constexpr const char *kTracefsMount = "/sys/kernel/tracing", *kDebugfsMount = "/sys/kernel/debug",
                            *kBpffsMount = "/sys/fs/bpf", *kCgroupMount = "/sys/fs/cgroup";

}  // namespace bpfemu
