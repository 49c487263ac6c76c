// SPDX-License-Identifier: Apache-2.0
// Owners that only root could have given. They are remembered by file for as long as the run lasts, and shown by the stat
// family; the file itself stays the user's. While there are none nobody pays for them.
#pragma once

#include <unordered_map>

#include "emu/ports/root.h"
#include "emu/syscalls/call.h"

namespace bpfemu {

struct Owner {
  u32 uid, gid;
};

class Owners {
 public:
  bool any() const { return !given_.empty(); }
  // Null: it is who the host says.
  const Owner* find(FileId file) const;
  // Root's own file, {0, 0}, needs no memory.
  void give(FileId file, const Owner& owner);
  // The thread's call takes the file's last name away, if it succeeds: the number may be another file's then.
  void doom(pid_t tid, FileId file) { doomed_[tid] = file; }
  void unlinked(pid_t tid, bool done);

 private:
  struct Hash {
    size_t operator()(const FileId& file) const { return file.ino * 31 + file.dev; }
  };
  std::unordered_map<FileId, Owner, Hash> given_;
  std::unordered_map<pid_t, FileId> doomed_;
};

// A chown that is the host's. With ids that cannot be given it becomes one to root,
// which says whether the file is the caller's at all, and its exit remembers them.
Reply give_owner(System& system, Call& call, Reply reply);
// A call of the stat family that is the host's: its exit shows owners where they are not who the host says.
Reply show_owner(System& system, Reply reply);
// unlink, rmdir, or rename to a name that exists: arguments `directory` (-1: none) and `path` name what may vanish.
Reply lose_owner(System& system, Call& call, Reply reply, int directory, int path);

}  // namespace bpfemu
