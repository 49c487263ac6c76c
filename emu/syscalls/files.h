// SPDX-License-Identifier: Apache-2.0
// Open file descriptions of emulated objects. Each has a carrier: a real descriptor in the tracee (the read end of a
// pipe), known by the inode of that pipe. The supervisor keeps the write end only: a byte in it makes the carrier
// readable, EPOLLERR on it says that the last copy anywhere is gone.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emu/base/fd.h"
#include "emu/base/object.h"
#include "emu/ports/task.h"

namespace bpfemu {

class System;
class DirectoryFile;
struct Call;
struct Reply;

// What an open file of ours can be asked. A kind of file overrides what it has.
class File {
 public:
  virtual ~File() = default;
  // What /proc/PID/fd/N links to: "anon_inode:bpf-map", "/sys/kernel/tracing/trace_pipe".
  virtual std::string link_name() const = 0;
  // The lines of /proc/PID/fdinfo/N after pos, flags, mnt_id and ino.
  virtual std::string fdinfo() const { return {}; }
  virtual void stat(struct stat& st) const;
  virtual u64 fs_magic() const { return 0x09041934; }  // ANON_INODE_FS_MAGIC
  // The object behind it, null for synthetic files.
  virtual std::shared_ptr<Object> object() const { return nullptr; }
  // The open synthetic folder, null for everything else.
  virtual DirectoryFile* directory() { return nullptr; }
  // ioctl, mmap, read, write on it: answered here, with the kernel's errno for a file that lacks the operation.
  virtual Result<u64> ioctl(System&, Call&) { return fail(ENOTTY); }
  virtual Result<u64> mmap(System&, Call&) { return fail(ENODEV); }
  virtual Result<u64> write(System&, Task&, u64 /*address*/, u64 /*size*/) { return fail(EINVAL); }
  // Is there something to read? Pollable files answer from producer and consumer positions.
  virtual bool pollable() const { return false; }
  virtual bool readable() const { return false; }

  // The ring in the arena that wakes those who poll the file, null: none.
  virtual const void* ring() const { return nullptr; }

  u32 mode = 3;              // FMODE_READ | FMODE_WRITE of the description
  u32 open_flags = 2;        // O_RDWR, as fdinfo and F_GETFL show it
};

// All carriers. Also the registry that fork, dup, SCM_RIGHTS and exec need no help from us to keep right.
class Files {
 public:
  Files();
  ~Files();

  // Installs a carrier for `file` into the task and gives its number there: EMFILE, ENFILE, ESRCH.
  Result<int> install(Task& task, std::shared_ptr<File> file, bool cloexec);
  // The emulated file behind a task's descriptor: EBADF when the number is not open, null when it is not ours.
  Result<std::shared_ptr<File>> find(Task& task, int fd);
  std::shared_ptr<File> find(FileId id) const;
  // The same for calls that leave everything else to the kernel: null when it is not ours for whatever reason. Costs
  // nothing while there are no carriers.
  std::shared_ptr<File> ours(Task& task, int fd);

  // Makes the carrier readable (the kernel's wake_up on the file's wait queue), or not.
  void signal(File& file);
  void drain(File& file);
  // Files that a ring in the arena (struct Map, struct PerfRing) wakes: all descriptions of it share its wait queue.
  // One that has no ring when it is installed gets it later by watch().
  void watch(File& file, const void* ring);
  void wake(const void* ring);
  // Every open description, for listings.
  void for_each(const std::function<void(File&)>& visit) const;
  // Drains every signalled carrier whose file has nothing left to read; called where poll, select and epoll_wait enter.
  void settle();
  // Drops the files whose last carrier is gone. Cheap when nothing happened; called before objects are listed.
  void reap();
  // Called when a task was given a carrier, whose process must stop at more calls from then on.
  std::function<void(Task& task, const File& file)> installed;
  // Becomes readable when reap() has something to do.
  int reap_fd() const { return epoll_.get(); }

 private:
  struct Carrier;
  void drain(Carrier& carrier);

  UniqueFd epoll_;
  std::map<FileId, std::unique_ptr<Carrier>> carriers_;
  std::map<const File*, Carrier*> by_file_;
  std::multimap<const void*, Carrier*> by_ring_;
  std::vector<Carrier*> signalled_;
};

}  // namespace bpfemu
