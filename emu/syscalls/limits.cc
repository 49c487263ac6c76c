// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/syscall.h>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

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
