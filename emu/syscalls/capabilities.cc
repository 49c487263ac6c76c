// SPDX-License-Identifier: Apache-2.0
// Capabilities where they are answered (RootWay::kAnswered): capget(2), capset(2), and prctl(2) as far as it is about
// them. The root of a container is shown those that it lacks, too.
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

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

u64 joined(u32 low, u32 high) {
  return u64{high} << 32 | low;
}

bool is_capability(u64 number) {
  return number <= CAP_LAST_CAP;
}

// Kernel: cap_prctl_drop.
s64 drop_bounding(CapabilitySets& sets, u64 number) {
  if (!(sets.effective >> CAP_SETPCAP & 1)) return -EPERM;
  if (!is_capability(number)) return -EINVAL;
  sets.bounding &= ~(u64{1} << number);
  return 0;
}

// Kernel: cap_task_prctl, PR_CAP_AMBIENT.
s64 change_ambient(CapabilitySets& sets, const std::array<u64, 6>& args) {
  if (args[1] == PR_CAP_AMBIENT_CLEAR_ALL) {
    if (args[2] | args[3] | args[4]) return -EINVAL;
    sets.ambient = 0;
    return 0;
  }
  if (!is_capability(args[2]) || args[3] || args[4]) return -EINVAL;
  u64 bit = u64{1} << args[2];
  switch (args[1]) {
    case PR_CAP_AMBIENT_IS_SET: return (sets.ambient & bit) != 0;
    case PR_CAP_AMBIENT_LOWER: sets.ambient &= ~bit; return 0;
    case PR_CAP_AMBIENT_RAISE:
      if (!(sets.permitted & sets.inheritable & bit)) return -EPERM;
      sets.ambient |= bit;
      return 0;
    default: return -EINVAL;
  }
}

}  // namespace

Reply enter_capget(System& system, Call& call) {
  if (system.identities.root().lacks()) return Reply::native_then_exit();
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

s64 exit_capget(System& system, Call& call, s64 result) {
  auto cap = read_header(call);
  __user_cap_data_struct data[2]{};
  if (result != 0 || !cap || !call.task.read(call.args[1], data, cap->words * sizeof data[0])) return result;
  const Root& root = system.identities.root();
  u64 effective = root.granted(joined(data[0].effective, data[1].effective));
  u64 permitted = root.granted(joined(data[0].permitted, data[1].permitted));
  for (u32 i = 0; i < 2; ++i) {
    data[i].effective = static_cast<u32>(effective >> 32 * i);
    data[i].permitted = static_cast<u32>(permitted >> 32 * i);
  }
  (void)call.task.write(call.args[1], data, cap->words * sizeof data[0]);
  return result;
}

// What capget made up cannot be kept by the kernel.
Reply set_real(const Root& root, Call& call) {
  auto cap = read_header(call);
  __user_cap_data_struct data[2]{};
  auto at = call.task.scratch(sizeof data);
  if (!cap || !at || !call.task.read(call.args[1], data, cap->words * sizeof data[0])) return Reply::native();
  for (u32 i = 0; i < 2; ++i) {
    u32 had = ~static_cast<u32>(root.lacking >> 32 * i);
    data[i] = {data[i].effective & had, data[i].permitted & had, data[i].inheritable & had};
  }
  if (!call.task.write(*at, data, sizeof data)) return Reply::native();
  call.args[1] = *at;
  return Reply::rewritten();
}

Reply enter_capset(System& system, Call& call) {
  if (system.identities.root().lacks()) return set_real(system.identities.root(), call);
  if (!system.identities.root().answered()) return Reply::native();
  auto cap = read_header(call);
  if (!cap) return Reply::answer(-s64{cap.error().value});
  if (cap->header.pid != 0 && cap->header.pid != call.task.tid()) return Reply::answer(-EPERM);
  __user_cap_data_struct data[2]{};
  auto read = call.task.read(call.args[1], data, cap->words * sizeof data[0]);
  if (!read) return Reply::answer(read);
  constexpr u64 all = Root::kAllCapabilities;
  CapabilitySets sets{.effective = joined(data[0].effective, data[1].effective) & all,
                      .permitted = joined(data[0].permitted, data[1].permitted) & all,
                      .inheritable = joined(data[0].inheritable, data[1].inheritable) & all};
  return Reply::answer(system.identities.set(call.task.tid(), sets));
}

// no_new_privs is on for our filter already: what the program believes of it is kept here.
Reply enter_prctl(System& system, Call& call) {
  if (!system.identities.root().answered()) return Reply::native();
  pid_t tid = call.task.tid();
  CapabilitySets sets = system.identities.get(tid);
  const auto& args = call.args;
  s64 result = 0;
  switch (static_cast<int>(args[0])) {
    case PR_CAPBSET_READ: return Reply::answer(is_capability(args[1]) ? sets.bounding >> args[1] & 1 : -EINVAL);
    case PR_CAPBSET_DROP: result = drop_bounding(sets, args[1]); break;
    case PR_CAP_AMBIENT: result = change_ambient(sets, args); break;
    case PR_GET_NO_NEW_PRIVS:
      return Reply::answer(args[1] || args[2] || args[3] || args[4] ? -EINVAL : s64{sets.no_new_privs});
    case PR_SET_NO_NEW_PRIVS:
      if (args[1] != 1 || args[2] || args[3] || args[4]) return Reply::answer(-EINVAL);
      sets.no_new_privs = true;
      system.identities.keep(tid, sets);
      return Reply::native();
    default: return Reply::native();
  }
  if (result == 0) system.identities.keep(tid, sets);
  return Reply::answer(result);
}

}  // namespace bpfemu
