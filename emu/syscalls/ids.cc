// SPDX-License-Identifier: Apache-2.0
// User and group ids where they are answered (RootWay::kAnswered).
#include <sys/syscall.h>

#include <vector>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u32 kUnchanged = ~u32{0};

}  // namespace

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

}  // namespace bpfemu
