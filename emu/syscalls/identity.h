// SPDX-License-Identifier: Apache-2.0
// Which capabilities a traced thread appears to have: all of root's, until it drops some itself; none with --as-user.
#pragma once

#include <map>

#include "emu/bpf/capabilities.h"
#include "emu/ports/task.h"

namespace bpfemu {

struct CapabilitySets {
  u64 effective, permitted, inheritable;
};

class Identities {
 public:
  explicit Identities(bool as_user) : as_user_(as_user) {}

  CapabilitySets get(pid_t tid) const;
  // EPERM: more than is permitted (kernel: cap_capset).
  Result<void> set(pid_t tid, const CapabilitySets& sets);
  // The thread runs another program: root gets everything again.
  void forget(pid_t tid) { changed_.erase(tid); }
  // capable() as bpf() asks it.
  Capabilities capabilities(pid_t tid) const;
  bool as_user() const { return as_user_; }

 private:
  bool as_user_;
  std::map<pid_t, CapabilitySets> changed_;
};

}  // namespace bpfemu
