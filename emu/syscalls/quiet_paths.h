// SPDX-License-Identifier: Apache-2.0
// Keeps true what the table (path_table.h) tells processes that decide by themselves which of their calls with a path
// are the host's. Nothing of this costs anything while there are none.
#pragma once

#include <memory>
#include <string_view>

#include "emu/syscalls/held_folders.h"
#include "emu/syscalls/path_table.h"

namespace bpfemu {

class System;

class QuietPaths {
 public:
  explicit QuietPaths(System& system);

  // From now on somebody reads it.
  void begin();
  // Null: there can be none here, or nobody wants it yet.
  PathTable* table() { return table_.get(); }
  // Somebody wants to see all mappings of files.
  bool all_mappings = true;
  // What becomes true with a call is told before its thread, or any other, goes on.
  void publish();
  // Calls that a probe listens to.
  void listen(const SyscallSet& calls);
  // From now on these are asked about, whether anybody listens or not.
  void always_ask(const SyscallSet& calls);
  // An absolute path was found to be the host's, and so is what lies directly below it.
  void admit(std::string_view path, bool follow);
  void forget() { if (begun_) table_->forget(); }

  HeldFolders held;

 private:
  void ask();
  void deny_names();
  void expire();

  System& system_;
  std::unique_ptr<PathTable> table_;
  SyscallSet listened_, always_;
  bool asked_ = false, begun_ = false, owners_ = false;
  bool admitted_ = false;  // since the last forgetting
  u64 timer_ = 0;          // 0: nothing is there to be forgotten
  u64 denied_ = 0;         // Vfs::revision() whose names are denied
};

}  // namespace bpfemu
