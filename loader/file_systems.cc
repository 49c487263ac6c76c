// SPDX-License-Identifier: Apache-2.0
#include "loader/file_systems.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <sstream>
#include <string_view>

#include "emu/base/fd.h"
#include "loader/proc_files.h"

namespace bpfemu {

namespace {

// Types of file systems that some process, or another machine, serves.
constexpr std::string_view kServed[] = {"fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "virtiofs"};

constexpr unsigned kMountId = 0x1000;  // STATX_MNT_ID

bool is_served(std::string_view type) {
  return type.starts_with("fuse.") || std::ranges::find(kServed, type) != std::end(kServed);
}

struct Mount {
  u64 id = 0;
  std::string type;
};

// A line of /proc/PID/mountinfo: id parent dev root point options [fields...] - type source options.
Mount parse_mount(const std::string& line) {
  std::istringstream words(line);
  Mount mount;
  words >> mount.id;
  for (std::string word; words >> word && word != "-";) continue;
  words >> mount.type;
  return mount;
}

template <class Use>
void each_mount(pid_t tid, Use use) {
  const Result<std::string> text = read_proc(tid, "mountinfo");
  if (!text) return;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) use(parse_mount(line));
}

u64 dev_of(const struct statx& file) {
  return makedev(file.stx_dev_major, file.stx_dev_minor);
}

}  // namespace

FileSystems::FileSystems() {
  const UniqueFd memory(::memfd_create("bpfemu-which", MFD_CLOEXEC));
  struct statx file;
  if (memory && ::statx(memory.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &file) == 0)
    memory_dev_ = dev_of(file);
  each_mount(::getpid(), [this](const Mount& mount) {
    first_mounts_.insert(mount.id);
    any_served_ = any_served_ || is_served(mount.type);
  });
}

std::optional<struct statx> stat_open(const std::string& path) {
  struct statx file;
  constexpr unsigned wanted = STATX_INO | STATX_MODE | STATX_UID | kMountId;
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, wanted, &file) != 0) return std::nullopt;
  return file;
}

bool FileSystems::may_wait(pid_t tid, const struct statx& file) {
  if (dev_of(file) == memory_dev_) return false;
  if (!(file.stx_mask & kMountId)) return true;
  const auto known = known_.find(file.stx_mnt_id);
  if (known != known_.end()) return known->second;
  return known_[file.stx_mnt_id] = look_up(tid, file.stx_mnt_id);
}

// An overlay that was mounted since may lie over anything; so may what is mounted nowhere any more be of any type.
bool FileSystems::look_up(pid_t tid, u64 id) {
  bool waits = true;
  each_mount(tid, [&](const Mount& mount) {
    if (mount.id == id) waits = is_served(mount.type) || (mount.type == "overlay" && !first_mounts_.contains(id));
  });
  return waits;
}

}  // namespace bpfemu
