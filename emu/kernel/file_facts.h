// SPDX-License-Identifier: Apache-2.0
// What a file of a task is, as the host's kernel tells of it: its inode, the mount that it was reached by, the names on the
// way from that file system's root, and how it was opened. Plain facts; file_objects.h makes kernel objects of them.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/object.h"
#include "emu/base/result.h"
#include "emu/base/types.h"

namespace bpfemu {

// A device number as the kernel holds it (kernel: MKDEV), other than the dev_t of stat().
constexpr u32 kernel_device(u32 major, u32 minor) { return major << 20 | minor; }

struct InodeFacts {
  u64 ino = 0;
  u32 mode = 0, rdev = 0, uid = 0, gid = 0, nlink = 0;
  u64 size = 0, blocks = 0;
  u32 block_size = 4096;
  timespec atime = {}, mtime = {}, ctime = {};
};

// One line of /proc/PID/mountinfo, or a mount of the kernel's own (pipes, sockets), which none shows.
struct MountFacts {
  s32 id = 0, parent = 0;
  u32 dev = 0;            // of its super block, as the kernel holds it
  u64 magic = 0;          // statfs(2): f_type
  std::string type;       // of its file system, "ext4"; empty: nobody tells
  std::string source;     // "/dev/vda1"
  std::string root;       // what of the file system is mounted: "/"
  std::string point;      // and where
  std::string reach;      // the same place as this process may open it; empty: by no path
  bool internal = false;  // of the kernel's own
  bool read_only = false;

  // Files of it are answered by a process, maybe by one that waits for us.
  bool served() const { return type == "fuse" || type == "fuseblk"; }
  // `path` counts from the super block's root; empty: it is not below this mount, or no path of ours leads there.
  std::string host_path(std::string_view path) const;
  // The place that its namespace calls `shown`, from the super block's root; none: that is not below it.
  std::optional<std::string> path_of(std::string_view shown) const;
};

struct FileFacts {
  InodeFacts inode;
  std::shared_ptr<const MountFacts> mount;
  // The names of its dentries from the super block's root on: "/usr/bin/x", "/" for that root itself. In an internal mount
  // the one name, or none: "TCP", "[eventfd]", "memfd:x", "".
  std::string path;
  bool deleted = false;  // the name is gone
  // Of an open file; a path has none of it.
  pid_t tgid = 0;
  int fd = -1;
  u32 flags = 0;  // O_*, as /proc/PID/fdinfo has them
  s64 pos = 0;
  bool readable = false, writable = false;
  std::shared_ptr<Object> object;  // of a file of the model's own: see OwnFile

  bool regular() const { return S_ISREG(inode.mode); }
  bool folder() const { return S_ISDIR(inode.mode); }
};
// The inode that `path` of the mount's file system leads to now; none: nobody may look.
std::optional<InodeFacts> inode_at(const MountFacts& mount, std::string_view path);

// A file of the model's own. The host's kernel knows nothing of it but what carries it.
struct OwnFile {
  InodeFacts inode;
  u32 dev = 0;        // of its super block, as the kernel holds it
  u64 magic = 0;      // statfs(2): f_type
  std::string type;   // of its file system: "tracefs"; empty: anonymous, in a mount of the kernel's own
  std::string point;  // where that is mounted
  std::string text;   // what /proc/PID/fd/N links to, without " (deleted)"
  bool deleted = false;
  std::shared_ptr<Object> object;  // of bpf() or perf_event_open(), that it leads to
};

// The descriptors that a task has open, in ascending order.
std::vector<int> open_descriptors(pid_t tid);

// How an open file may be used; of one that was opened with O_PATH in no way. Costs one system call.
struct DescriptorAccess {
  bool readable = false, writable = false;
};
// EBADF: there is none. ESRCH: the task is gone.
Result<DescriptorAccess> descriptor_access(pid_t tgid, int fd);

// The mounts that files lie in. Read again when a file is met whose mount is not known, or is another now.
class Mounts {
 public:
  // All about one descriptor of a process; six system calls. EBADF, ESRCH.
  Result<FileFacts> describe(pid_t tgid, int fd);
  // What /proc/TGID/LINK (cwd, root, exe) leads to. ENOENT: there is none, ESRCH.
  Result<FileFacts> describe_link(pid_t tgid, const char* link);

  // Set once, before anybody asks: the file of the model's own that is carried by this one, by its st_dev and st_ino.
  std::function<std::optional<OwnFile>(u64 dev, u64 ino)> own;

  // The mount with this id, of those that were read; null: unknown.
  std::shared_ptr<const MountFacts> mount(s32 id) const;

 private:
  // What the link `proc_path` of /proc leads to.
  Result<FileFacts> describe_at(pid_t tgid, const std::string& proc_path);
  std::shared_ptr<const MountFacts> mount_of(pid_t tgid, s32 id, u32 device, std::string_view path,
                                             const std::string& proc_path);
  std::shared_ptr<const MountFacts> mount_of(const OwnFile& file);
  void read_mounts(pid_t tgid);

  struct Known {
    std::shared_ptr<const MountFacts> facts;
    std::optional<u32> device;  // what statx() told of the first file in it
  };
  std::map<s32, Known> mounts_;  // by id, which are the same in every mount namespace
};

}  // namespace bpfemu
