// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/identity.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u64 kAll = (u64{1} << (CAP_LAST_CAP + 1)) - 1;

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

CapabilitySets Identities::get(pid_t tid) const {
  auto it = changed_.find(tid);
  if (it != changed_.end()) return it->second;
  return as_user_ ? CapabilitySets{0, 0, 0} : CapabilitySets{kAll, kAll, 0};
}

Result<void> Identities::set(pid_t tid, const CapabilitySets& sets) {
  CapabilitySets now = get(tid);
  if ((sets.permitted & ~now.permitted) || (sets.effective & ~sets.permitted)) return fail(EPERM);
  changed_[tid] = sets;
  return {};
}

Capabilities Identities::capabilities(pid_t tid) const {
  u64 effective = get(tid).effective;
  auto has = [=](int cap) { return (effective >> cap & 1) != 0; };
  bool admin = has(CAP_SYS_ADMIN);
  return {.bpf = admin || has(CAP_BPF),
          .perfmon = admin || has(CAP_PERFMON),
          .net_admin = has(CAP_NET_ADMIN),
          .sys_admin = admin};
}

Reply enter_get_id(System& system, Call&) {
  return system.identities.as_user() ? Reply::native() : Reply::answer(s64{0});
}

Reply enter_get_res_ids(System& system, Call& call) {
  if (system.identities.as_user()) return Reply::native();
  u32 root = 0;
  for (size_t i = 0; i < 3; ++i) {
    auto written = call.task.write(call.args[i], &root, sizeof root);
    if (!written) return Reply::answer(written);
  }
  return Reply::answer(s64{0});
}

Reply enter_capget(System& system, Call& call) {
  if (system.identities.as_user()) return Reply::native();
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
  if (system.identities.as_user()) return Reply::native();
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
  if (system.identities.as_user() || resource != RLIMIT_MEMLOCK || !limit) return Reply::native();
  rlimit wanted;
  if (!call.task.read(limit, &wanted, sizeof wanted)) return Reply::answer(-EFAULT);
  if (wanted.rlim_cur > wanted.rlim_max) return Reply::answer(-EINVAL);
  if (!prlimit) return Reply::answer(s64{0});
  call.args[2] = 0;
  return Reply::rewritten();
}

}  // namespace bpfemu
