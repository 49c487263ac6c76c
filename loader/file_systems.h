// SPDX-License-Identifier: Apache-2.0
// Whose files may keep a reader waiting for some process: those of FUSE and of file systems on the network.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>

#include "emu/base/types.h"

namespace bpfemu {

// An open file, of which nobody is asked but the kernel. `path` leads to it and nowhere else (/proc/TID/fd/N,
// /proc/TID/exe).
std::optional<struct statx> stat_open(const std::string& path);

class FileSystems {
 public:
  FileSystems();
  // May access to the file's pages wait for a process? What cannot be told may. `file`: as of stat_open(), by the thread.
  bool may_wait(pid_t tid, const struct statx& file);
  // May there be any such file at all?
  bool any_served() const { return any_served_; }
  // Something is about to be mounted or unmounted: numbers may mean other file systems then.
  void forget() { known_.clear(), any_served_ = true; }

 private:
  bool look_up(pid_t tid, u64 mount);

  bool any_served_ = false;
  u64 memory_dev_ = 0;         // of files that memfd_create() makes
  std::set<u64> first_mounts_;  // those that were there at the start
  std::map<u64, bool> known_;  // by mount
};

}  // namespace bpfemu
