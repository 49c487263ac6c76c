// SPDX-License-Identifier: Apache-2.0
// Open file descriptions of emulated objects. Each has a carrier: a real descriptor in the tracee (the read end of a
// pipe), known by the inode of that pipe. The supervisor keeps the write end only: a byte in it makes the carrier
// readable, EPOLLERR on it says that the last copy anywhere is gone. Files of the synthetic tree have other carriers
// (node_file.h), which inotify tells the end of.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/base/fd.h"
#include "emu/base/object.h"
#include "emu/ports/task.h"
#include "emu/syscalls/call.h"

namespace bpfemu {

inline constexpr u32 kModeRead = 1, kModeWrite = 2;  // FMODE_READ, FMODE_WRITE

class System;
class DirectoryFile;
class NodeFile;

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
  // The open file of the synthetic tree, and folder to be listed, null for everything else.
  virtual NodeFile* node() { return nullptr; }
  virtual DirectoryFile* directory() { return nullptr; }
  // Do flags, ioctls and mappings of the carrier serve as the file's own?
  virtual bool is_native() const { return false; }
  virtual bool takes_writes() const { return false; }
  // The calls that a process which holds it must stop at.
  virtual std::vector<TraceWhen> stops() const;
  // ioctl, mmap, read, write on it: answered here, with the kernel's errno for a file that lacks the operation.
  virtual Result<u64> ioctl(System&, Call&) { return fail(ENOTTY); }
  virtual Result<u64> mmap(System&, Call&) { return fail(ENODEV); }
  virtual Result<u64> write(System&, Task&, std::string_view /*data*/) { return fail(EINVAL); }
  // Calls that read it are answered here when its process stops at them, which is_read() asks for. The carrier cannot
  // give what a read has to. Of bpf objects there is nothing to read (kernel: bpf_dummy_read).
  virtual Result<u64> read(Task&, u64 /*address*/, u64 /*size*/) { return fail(EINVAL); }
  virtual bool is_read() const { return false; }
  virtual u64 position() const { return 0; }  // of the next read, as fdinfo shows it
  // Has it a poll operation (kernel: file_can_poll)? epoll takes no other.
  virtual bool can_poll() const { return pollable(); }
  // Is it one that waits end for, so that its processes stop at them? And is there something to read?
  virtual bool pollable() const { return false; }
  virtual bool readable() const { return false; }
  // Its poll operation: EPOLLIN, ... Call it through ask(), for asking may take a wakeup away. Files without one are
  // always ready (kernel: DEFAULT_POLLMASK).
  virtual u32 poll();
  // The part of that which lasts and which no wakeup tells of: EPOLLERR, EPOLLHUP, EPOLLOUT.
  virtual u32 condition() const { return 0; }
  // Does asking take the wakeup away (kernel: perf_poll)?
  virtual bool reports_once() const { return false; }

  // The ring in the arena that wakes those who poll the file, null: none.
  virtual const void* ring() const { return nullptr; }

  // What of the arena an mmap of it shows. While that is mapped the kernel keeps the file.
  virtual Extent mapping() const { return {}; }

  u32 mode = kModeRead | kModeWrite;  // of the description
  u32 open_flags = 2;        // O_RDWR, as fdinfo and F_GETFL show it
};

// All carriers. Also the registry that fork, dup, SCM_RIGHTS and exec need no help from us to keep right.
class Files {
 public:
  Files();
  ~Files();

  // Installs a carrier for `file` into the task and gives its number there: EMFILE, ENFILE, ESRCH.
  Result<int> install(Task& task, std::shared_ptr<File> file, bool cloexec);
  // The same with a carrier that exists already: `fd`, which nothing else is to be known by.
  Result<int> install_native(Task& task, std::shared_ptr<File> file, int fd, bool cloexec);
  // The part of it that only remembers: `path` leads to the carrier `id`, for as long as it takes.
  void enroll(Task& task, FileId id, const std::string& path, std::shared_ptr<File> file);
  // A name in a tree changed, and with it what is open below.
  void moved(const std::string& from, const std::string& to);
  // Has nobody anything of ours open?
  bool none() const { return carriers_.empty(); }
  // Can a task be in a folder of ours at all?
  bool any_folders() const { return folders_ > 0; }
  // The emulated file behind a task's descriptor: EBADF when the number is not open, null when it is not ours.
  Result<std::shared_ptr<File>> find(Task& task, int fd);
  std::shared_ptr<File> find(FileId id) const;
  // The same for calls that leave everything else to the kernel: null when it is not ours for whatever reason. Costs
  // nothing while there are no carriers.
  std::shared_ptr<File> ours(Task& task, int fd);

  // Makes the carrier readable (the kernel's wake_up on the file's wait queue), or not.
  void signal(File& file);
  void drain(File& file);
  // Drains all descriptions of the file's ring: it has nothing to report.
  void quiet(File& file);
  // Files that a ring in the arena (struct Map, struct PerfRing) wakes: all descriptions of it share its wait queue.
  // One that has no ring when it is installed gets it later by watch().
  void watch(File& file, const void* ring);
  void wake(const void* ring);
  // Every open description, for listings.
  void for_each(const std::function<void(File&)>& visit) const;
  // Drains every signalled carrier whose file has nothing left to read; called where poll, select and epoll_wait enter.
  void settle();
  // Is there a file that reports a wakeup once? And those among them that are signalled.
  bool any_reports_once() const;
  std::vector<std::shared_ptr<File>> signalled_once() const;
  // A file joined an epoll set that has a lasting condition: epoll_wait has to look for such from now on.
  void remember_condition(File& file);
  bool has_conditions() const { return conditional_ != 0; }
  // The task has mapped the file: it stays when its last descriptor goes, until nothing of its mapping() is `mapped`.
  void hold(Task& task, int fd, File& file);
  void release_unmapped(const std::function<bool(Extent)>& mapped);
  size_t held() const;
  // Is it held for its mapping?
  bool holds(File& file) const;
  // Are twice as many held as were left when the unmapped ones were released last? Time to do it again.
  bool holds_many() const { return held() >= many_held_; }
  // Drops the files whose last carrier is gone. Cheap when nothing happened; called before objects are listed.
  void reap();
  // Called when a task was given a carrier, whose process must stop at more calls from then on.
  std::function<void(Task& task, FileId id, const File& file)> installed;
  // The last carrier of that identity has gone.
  std::function<void(FileId id)> ended_carrier = [](FileId) {};
  // Becomes readable when reap() has something to do.
  int reap_fd() const { return epoll_.get(); }

 private:
  static constexpr size_t kFewHeld = 64;
  struct Carrier;
  void drain(Carrier& carrier);
  void forget(Carrier& carrier);
  std::vector<Carrier*> ended();

  UniqueFd epoll_, inotify_;
  u64 folders_ = 0;
  std::map<int, Carrier*> by_watch_;
  std::map<FileId, std::unique_ptr<Carrier>> carriers_;
  std::map<const File*, Carrier*> by_file_;
  std::multimap<const void*, Carrier*> by_ring_;
  std::vector<Carrier*> signalled_;
  size_t many_held_ = kFewHeld;
  u32 conditional_ = 0;  // carriers whose file was in an epoll set with a lasting condition
};

}  // namespace bpfemu
