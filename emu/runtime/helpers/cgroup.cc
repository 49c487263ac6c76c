// SPDX-License-Identifier: Apache-2.0
// What programs of cgroups do about the call that they run for, and its socket. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/object_array.h"
#include "emu/runtime/maps/object_storage.h"

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

// The socket that an argument is: the context itself, or a struct bpf_sock; null for a struct sock.
const RunSock* storage_owner(u64 socket, const Run* run) {
  if (!socket) return nullptr;
  switch (run->program->type) {
    case BPF_PROG_TYPE_CGROUP_SOCK: return pointer_to<RunSock>(socket - offsetof(RunSock, bound_dev_if));
    case BPF_PROG_TYPE_TRACING:
    case BPF_PROG_TYPE_LSM:
    case BPF_PROG_TYPE_STRUCT_OPS: return nullptr;
    default: return pointer_to<RunSock>(socket);
  }
}

u64 without_call(Run* run, const char* what) {
  missing(run, what);
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
  if (!run->env->socket) return without_call(run, "bpf_bind without a call");
  return result(run->env->socket->bind(run->env->socket->self, pointer_to(r2), low32(r3)));
}

HELPER(help_setsockopt) {
  if (!run->env->socket) return without_call(run, "bpf_setsockopt without a call");
  return result(run->env->socket->set_option(run->env->socket->self, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
}

HELPER(help_getsockopt) {
  __builtin_memset(pointer_to(r4), 0, low32(r5));
  if (!run->env->socket) return without_call(run, "bpf_getsockopt without a call");
  return result(run->env->socket->get_option(run->env->socket->self, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
}

// A number that no other socket has; those of test runs get theirs when they are asked (kernel: sock_gen_cookie).
HELPER(help_get_socket_cookie) {
  if (run->program->type == BPF_PROG_TYPE_TRACING || run->program->type == BPF_PROG_TYPE_LSM)
    return missing(run, "cookies of sockets that tracing programs see"), 0;
  RunSock* const sock = socket_of(r1, run);
  if (!sock) return 0;
  if (!sock->cookie) sock->cookie = __builtin_ia32_rdtsc();
  return sock->cookie;
}

// Without a context it is that of the first namespace (kernel: __bpf_get_netns_cookie).
HELPER(help_get_netns_cookie) {
  u64 cookie = 1;
  if (r1 && run->env->socket)
    (void)run->env->socket->get_option(run->env->socket->self, kSolSocket, kSoNetnsCookie, &cookie, sizeof cookie);
  return cookie;
}

// Kernel: bpf_sk_storage_get. Sockets go by their cookies; those of test runs have none.
HELPER(help_sk_storage_get) {
  const RunSock* const sock = storage_owner(r2, run);
  if (!r2 || (r4 & ~u64{BPF_SK_STORAGE_GET_F_CREATE})) return 0;
  if (!sock || !sock->cookie) {
    if (r4) missing(run, "values of sk_storage maps");
    return 0;
  }
  Map& map = map_at(r1);
  if (void* const value = storage_find(map, sock->cookie)) return address_of(value);
  if (!r4 || run->env->exhausted) return 0;
  void* const made = storage_create(run, map, sock->cookie, pointer_to<const void>(r3));
  if (!made) missing(run, "values of so many sockets");
  return address_of(made);
}

HELPER(help_sk_storage_delete) {
  const RunSock* const sock = storage_owner(r2, run);
  if (!r2) return result(-EINVAL);
  return result(sock && sock->cookie ? storage_erase(run, map_at(r1), sock->cookie) : -ENOENT);
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
