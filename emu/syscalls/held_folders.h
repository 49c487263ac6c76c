// SPDX-License-Identifier: Apache-2.0
// Does some supervised thread hold, or stand in, a real folder of the host's from which a name leads into the synthetic
// tree? Such folders are had through calls that stop; that they are gone again is found by looking.
#pragma once

#include <chrono>
#include <unordered_set>

#include "emu/ports/host.h"

namespace bpfemu {

class Vfs;

class HeldFolders {
 public:
  HeldFolders(Host& host, const Vfs& vfs) : host_(host), vfs_(vfs) {}

  // The thread's call may give it one.
  void may_get(pid_t tid) { suspected_ = true, getting_.insert(tid); }
  // It has come back from that.
  void returned(pid_t tid) { getting_.erase(tid); }
  // What leads into the tree has changed.
  void suspect() { suspected_ = true; }
  // Nobody does. Looks, now and then, while it is not known.
  bool none();

 private:
  using Clock = std::chrono::steady_clock;
  bool look();
  bool anybody() const;
  bool holds(pid_t tid, bool files, bool place) const;
  bool leads_in(const std::string& link) const;

  Host& host_;
  const Vfs& vfs_;
  bool suspected_ = true;
  std::unordered_set<pid_t> getting_;
  Clock::time_point next_{};
};

}  // namespace bpfemu
