// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/identity.h"

#include <linux/capability.h>

namespace bpfemu {

u64 Identities::effective(pid_t tid) const {
  if (root_.way == RootWay::kBare) return 0;
  if (root_.answered()) return get(tid).effective;
  auto facts = host_.facts(tid);
  return facts ? facts->capabilities : 0;
}

Capabilities Identities::capabilities(pid_t tid) const {
  u64 held = effective(tid);
  auto has = [=](int cap) { return (held >> cap & 1) != 0; };
  bool admin = has(CAP_SYS_ADMIN);
  return {.bpf = admin || has(CAP_BPF),
          .perfmon = admin || has(CAP_PERFMON),
          .net_admin = has(CAP_NET_ADMIN),
          .sys_admin = admin,
          .sys_boot = has(CAP_SYS_BOOT)};
}

CapabilitySets Identities::get(pid_t tid) const {
  auto it = changed_.find(tid);
  return it != changed_.end() ? it->second : CapabilitySets{};
}

Result<void> Identities::set(pid_t tid, const CapabilitySets& sets) {
  CapabilitySets now = get(tid);
  bool capped = !(now.effective >> CAP_SETPCAP & 1);
  if (capped && (sets.inheritable & ~(now.inheritable | now.permitted))) return fail(EPERM);
  if (sets.inheritable & ~(now.inheritable | now.bounding)) return fail(EPERM);
  if ((sets.permitted & ~now.permitted) || (sets.effective & ~sets.permitted)) return fail(EPERM);
  now.effective = sets.effective;
  now.permitted = sets.permitted;
  now.inheritable = sets.inheritable;
  now.ambient &= sets.permitted & sets.inheritable;
  keep(tid, now);
  return {};
}

void Identities::forked(pid_t parent, pid_t child) {
  auto it = changed_.find(parent);
  if (it != changed_.end()) changed_[child] = it->second;
}

void Identities::executed(pid_t tid, pid_t old_tid) {
  auto it = changed_.find(old_tid);
  if (it == changed_.end()) return gone(tid);
  CapabilitySets sets = it->second;
  u64 gained = sets.bounding | sets.inheritable;
  sets.permitted = sets.effective = sets.no_new_privs ? gained & sets.permitted : gained;
  gone(old_tid);
  keep(tid, sets);
}

}  // namespace bpfemu
