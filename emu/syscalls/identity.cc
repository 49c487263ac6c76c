// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/identity.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <vector>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u64 kAll = Root::kAllCapabilities;
constexpr u32 kUnchanged = ~u32{0};

// Kernel: cap_validate_magic: how many 32-bit words each version of the header speaks of, 0 for an unknown one.
u32 words_of(u32 version) {
  switch (version) {
    case _LINUX_CAPABILITY_VERSION_1: return _LINUX_CAPABILITY_U32S_1;
    case _LINUX_CAPABILITY_VERSION_2: return _LINUX_CAPABILITY_U32S_2;
    case _LINUX_CAPABILITY_VERSION_3: return _LINUX_CAPABILITY_U32S_3;
    default: return 0;
  }
}

struct CapCall {
  __user_cap_header_struct header;
  u32 words;
};

// Reads the header; an unknown version is answered with the newest one and EINVAL.
Result<CapCall> read_header(Call& call) {
  CapCall cap{};
  TRY(call.task.read(call.args[0], &cap.header, sizeof cap.header));
  cap.words = words_of(cap.header.version);
  if (cap.words == 0) {
    u32 newest = _LINUX_CAPABILITY_VERSION_3;
    TRY(call.task.write(call.args[0], &newest, sizeof newest));
    return fail(EINVAL);
  }
  return cap;
}

u64 joined(u32 low, u32 high) { return u64{high} << 32 | low; }

}  // namespace

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
          .sys_admin = admin};
}

CapabilitySets Identities::get(pid_t tid) const {
  auto it = changed_.find(tid);
  return it != changed_.end() ? it->second : CapabilitySets{kAll, kAll, 0};
}

Result<void> Identities::set(pid_t tid, const CapabilitySets& sets) {
  CapabilitySets now = get(tid);
  if ((sets.permitted & ~now.permitted) || (sets.effective & ~sets.permitted)) return fail(EPERM);
  changed_[tid] = sets;
  return {};
}

void Identities::forked(pid_t parent, pid_t child) {
  auto it = changed_.find(parent);
  if (it != changed_.end()) changed_[child] = it->second;
}

void Identities::executed(pid_t tid, pid_t old_tid) {
  u64 inheritable = get(old_tid).inheritable;
  changed_.erase(old_tid);
  changed_.erase(tid);
  if (inheritable) changed_[tid] = {kAll, kAll, inheritable};
}

// Every id of such a namespace is 0.
Reply enter_get_id(System& system, Call&) {
  return system.identities.root().answered() ? Reply::answer(s64{0}) : Reply::native();
}

Reply enter_get_res_ids(System& system, Call& call) {
  if (!system.identities.root().answered()) return Reply::native();
  u32 root = 0;
  for (size_t i = 0; i < 3; ++i) {
    auto written = call.task.write(call.args[i], &root, sizeof root);
    if (!written) return Reply::answer(written);
  }
  return Reply::answer(s64{0});
}

// No other id has a place there (kernel: make_kuid), and -1 leaves an id as it is where there are several.
Reply enter_set_ids(System& system, Call& call) {
  if (!system.identities.root().answered()) return Reply::native();
  size_t count = 1;
  if (call.number == SYS_setreuid || call.number == SYS_setregid) count = 2;
  if (call.number == SYS_setresuid || call.number == SYS_setresgid) count = 3;
  for (size_t i = 0; i < count; ++i) {
    u32 id = static_cast<u32>(call.args[i]);
    if (id != 0 && (count == 1 || id != kUnchanged)) return Reply::answer(-EINVAL);
  }
  return Reply::answer(s64{0});
}

// They tell no errors, only what the id was.
Reply enter_set_fs_id(System& system, Call&) {
  return system.identities.root().answered() ? Reply::answer(s64{0}) : Reply::native();
}

// user_namespaces(7): "deny" was written before the groups were mapped.
Reply enter_set_groups(System& system, Call&) {
  return system.identities.root().answered() ? Reply::answer(-EPERM) : Reply::native();
}

// The host's groups: its own is 0 there, and no other has a place.
Reply enter_get_groups(System& system, Call& call) {
  return system.identities.root().answered() && call.args[0] ? Reply::native_then_exit() : Reply::native();
}

s64 exit_get_groups(System& system, Call& call, s64 result) {
  if (result <= 0) return result;
  std::vector<u32> groups(static_cast<size_t>(result));
  if (!call.task.read(call.args[1], groups.data(), groups.size() * sizeof(u32))) return -EFAULT;
  for (u32& group : groups) group = system.identities.root().shown_gid(group);
  return call.task.write(call.args[1], groups.data(), groups.size() * sizeof(u32)) ? result : -EFAULT;
}

Reply enter_capget(System& system, Call& call) {
  if (!system.identities.root().answered()) return Reply::native();
  auto cap = read_header(call);
  // With no buffer this is the question for the version.
  if (!cap) return Reply::answer(cap.error().value == EINVAL && !call.args[1] ? 0 : -s64{cap.error().value});
  if (cap->header.pid < 0) return Reply::answer(-EINVAL);
  pid_t tid = cap->header.pid ? cap->header.pid : call.task.tid();
  if (!system.host.find_task(tid) && cap->header.pid) return Reply::native();
  CapabilitySets sets = system.identities.get(tid);
  __user_cap_data_struct data[2];
  for (u32 i = 0; i < 2; ++i) {
    data[i] = {.effective = static_cast<u32>(sets.effective >> 32 * i),
               .permitted = static_cast<u32>(sets.permitted >> 32 * i),
               .inheritable = static_cast<u32>(sets.inheritable >> 32 * i)};
  }
  return Reply::answer(call.task.write(call.args[1], data, cap->words * sizeof data[0]));
}

Reply enter_capset(System& system, Call& call) {
  if (!system.identities.root().answered()) return Reply::native();
  auto cap = read_header(call);
  if (!cap) return Reply::answer(-s64{cap.error().value});
  if (cap->header.pid != 0 && cap->header.pid != call.task.tid()) return Reply::answer(-EPERM);
  __user_cap_data_struct data[2]{};
  auto read = call.task.read(call.args[1], data, cap->words * sizeof data[0]);
  if (!read) return Reply::answer(read);
  CapabilitySets sets{joined(data[0].effective, data[1].effective) & kAll,
                      joined(data[0].permitted, data[1].permitted) & kAll,
                      joined(data[0].inheritable, data[1].inheritable) & kAll};
  return Reply::answer(system.identities.set(call.task.tid(), sets));
}

// Maps are not accounted against RLIMIT_MEMLOCK (since 5.11), so raising it is all show: it succeeds, and only what the
// tool asks to be told is the host's.
Reply enter_set_limit(System& system, Call& call) {
  bool prlimit = call.number == SYS_prlimit64;
  u32 resource = static_cast<u32>(call.args[prlimit ? 1 : 0]);
  u64 limit = call.args[prlimit ? 2 : 1];
  if (system.identities.root().way == RootWay::kBare || resource != RLIMIT_MEMLOCK || !limit) return Reply::native();
  rlimit wanted;
  if (!call.task.read(limit, &wanted, sizeof wanted)) return Reply::answer(-EFAULT);
  if (wanted.rlim_cur > wanted.rlim_max) return Reply::answer(-EINVAL);
  if (!prlimit) return Reply::answer(s64{0});
  call.args[2] = 0;
  return Reply::rewritten();
}

}  // namespace bpfemu
