// SPDX-License-Identifier: Apache-2.0
// What programs of cgroups do about the call that they run for, and its socket. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/object_array.h"

namespace bpfemu {

namespace {

constexpr u32 kSolSocket = 1, kSoNetnsCookie = 71;

// The socket that the context is of, null for none.
RunSock* socket_of(u64 context, const Run* run) {
  switch (run->program->type) {
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR: return &pointer_to<RunSockAddr>(context)->sock;
    case BPF_PROG_TYPE_CGROUP_SOCKOPT: return &pointer_to<RunSockopt>(context)->sock;
    case BPF_PROG_TYPE_CGROUP_SOCK: return pointer_to<RunSock>(context - offsetof(RunSock, bound_dev_if));
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS:
    case BPF_PROG_TYPE_SCHED_ACT:
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_SK_SKB: return skb_at(context).sk;
    default: return nullptr;
  }
}

u64 missing(Run* run, const char* what) {
  if (run->env->missing) run->env->missing(run->env->self, what);
  return result(-EINVAL);
}

}  // namespace

HELPER(help_get_retval) {
  return result(run->retval);
}

HELPER(help_set_retval) {
  run->retval = static_cast<s32>(r1);
  return 0;
}

HELPER(help_bind) {
  if (!run->env->socket) return missing(run, "bpf_bind without a call");
  return result(run->env->socket->bind(run->env->socket->self, pointer_to(r2), low32(r3)));
}

HELPER(help_setsockopt) {
  if (!run->env->socket) return missing(run, "bpf_setsockopt without a call");
  return result(run->env->socket->set_option(run->env->socket->self, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
}

HELPER(help_getsockopt) {
  __builtin_memset(pointer_to(r4), 0, low32(r5));
  if (!run->env->socket) return missing(run, "bpf_getsockopt without a call");
  return result(run->env->socket->get_option(run->env->socket->self, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
}

HELPER(help_get_socket_cookie) {
  const RunSock* const sock = socket_of(r1, run);
  return sock ? sock->cookie : 0;
}

// Without a context it is that of the first namespace (kernel: __bpf_get_netns_cookie).
HELPER(help_get_netns_cookie) {
  u64 cookie = 1;
  if (r1 && run->env->socket)
    (void)run->env->socket->get_option(run->env->socket->self, kSolSocket, kSoNetnsCookie, &cookie, sizeof cookie);
  return cookie;
}

HELPER(help_current_task_under_cgroup) {
  Map& array = map_at(r1);
  if (low32(r2) >= array.max_entries) return result(-E2BIG);
  const u64 wanted = object_at(array, low32(r2));
  if (!wanted) return result(-EAGAIN);
  for (u32 level = 0; run->env->cgroup_at; ++level) {
    const u64 id = run->env->cgroup_at(run->env->self, run, level);
    if (id == wanted) return 1;
    if (!id) break;
  }
  return 0;
}

}  // namespace bpfemu
