// SPDX-License-Identifier: Apache-2.0
// Who a traced thread is and what it may do. Where the host's answers are right they are asked for (TaskFacts); else
// (RootWay::kAnswered) ids are those of a user namespace with one id, 0, and capabilities are kept here: all of root's,
// until the thread drops some.
#pragma once

#include <map>

#include "emu/bpf/capabilities.h"
#include "emu/ports/host.h"
#include "emu/ports/root.h"

namespace bpfemu {

// Those of root, as long as nothing is dropped.
struct CapabilitySets {
  u64 effective = Root::kAllCapabilities, permitted = Root::kAllCapabilities, inheritable = 0;
  u64 bounding = Root::kAllCapabilities, ambient = 0;
  bool no_new_privs = false;
};

class Identities {
 public:
  Identities(const Root& root, Host& host) : root_(root), host_(host) {}

  const Root& root() const { return root_; }
  // Effective capabilities over the modelled kernel.
  u64 effective(pid_t tid) const;
  // capable() as bpf() asks it.
  Capabilities capabilities(pid_t tid) const;

  // The rest is for kAnswered alone.
  CapabilitySets get(pid_t tid) const;
  void keep(pid_t tid, const CapabilitySets& sets) { changed_[tid] = sets; }
  // What capset(2) sets of them. EPERM: more than is permitted (kernel: cap_capset).
  Result<void> set(pid_t tid, const CapabilitySets& sets);
  // A child has what its parent has; exec gives root everything that is not bounded (kernel: cap_bprm_creds_from_file); a
  // number that is free again says nothing.
  void forked(pid_t parent, pid_t child);
  void executed(pid_t tid, pid_t old_tid);
  void gone(pid_t tid) { changed_.erase(tid); }

 private:
  const Root root_;
  Host& host_;
  std::map<pid_t, CapabilitySets> changed_;
};

}  // namespace bpfemu
