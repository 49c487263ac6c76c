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
    case BPF_PROG_TYPE_SOCK_OPS: return &pointer_to<RunSockOps>(context)->sock;
    case BPF_PROG_TYPE_CGROUP_SOCK: return pointer_to<RunSock>(context - offsetof(RunSock, bound_dev_if));
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS:
    case BPF_PROG_TYPE_SCHED_ACT:
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_SK_SKB: return skb_at(context).sk;
    default: return nullptr;
  }
}

// Do programs of the type know sockets by the kernel's own struct sock?
bool sees_struct_sock(const Run* run) {
  switch (run->program->type) {
    case BPF_PROG_TYPE_TRACING:
    case BPF_PROG_TYPE_LSM:
    case BPF_PROG_TYPE_STRUCT_OPS: return true;
    default: return false;
  }
}

u64 cookie_of_struct(u64 sock, Run* run) {
  return sock && run->env->socks ? run->env->socks->cookie(run->env->self, sock) : 0;
}

// By which cookie sk_storage maps know the socket that an argument is: the context itself, a struct bpf_sock, or a struct
// sock. 0: none.
u64 storage_owner(u64 socket, Run* run) {
  if (!socket) return 0;
  if (sees_struct_sock(run)) return cookie_of_struct(socket, run);
  if (run->program->type == BPF_PROG_TYPE_CGROUP_SOCK) socket -= offsetof(RunSock, bound_dev_if);
  return pointer_to<RunSock>(socket)->cookie;
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
  const Env& env = *run->env;
  if (sees_struct_sock(run)) return result(env.socks->set_option(env.self, r1, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
  if (!env.socket) return without_call(run, "bpf_setsockopt without a call");
  return result(env.socket->set_option(env.socket->self, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
}

HELPER(help_getsockopt) {
  const Env& env = *run->env;
  __builtin_memset(pointer_to(r4), 0, low32(r5));
  if (sees_struct_sock(run)) return result(env.socks->get_option(env.self, r1, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
  if (!env.socket) return without_call(run, "bpf_getsockopt without a call");
  return result(env.socket->get_option(env.socket->self, low32(r2), low32(r3), pointer_to(r4), low32(r5)));
}

// A number that no other socket has; those of test runs get theirs when they are asked (kernel: sock_gen_cookie).
HELPER(help_get_socket_cookie) {
  if (sees_struct_sock(run)) return cookie_of_struct(r1, run);
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

// (struct cgroup *, int cpu)
HELPER(kfunc_cgroup_rstat_updated) {
  if (run->env->cgroup_updated && low32(r2) < run->cpus) run->env->cgroup_updated(run->env->self, r1, low32(r2));
  return 0;
}

HELPER(kfunc_cgroup_rstat_flush) {
  if (run->env->cgroup_flush) run->env->cgroup_flush(run->env->self, run, r1);
  return 0;
}

// Kernel: bpf_sk_storage_get. Sockets go by their cookies; those of test runs have none.
HELPER(help_sk_storage_get) {
  if (!r2 || (r4 & ~u64{BPF_SK_STORAGE_GET_F_CREATE})) return 0;
  const u64 cookie = storage_owner(r2, run);
  if (!cookie) {
    if (r4) missing(run, "values of sk_storage maps");
    return 0;
  }
  Map& map = map_at(r1);
  if (void* const value = storage_find(map, cookie)) return address_of(value);
  if (!r4 || run->env->exhausted) return 0;
  void* const made = storage_create(run, map, cookie, pointer_to<const void>(r3));
  if (!made) missing(run, "values of so many sockets");
  return address_of(made);
}

HELPER(help_sk_storage_delete) {
  if (!r2) return result(-EINVAL);
  const u64 cookie = storage_owner(r2, run);
  return result(cookie ? storage_erase(run, map_at(r1), cookie) : -ENOENT);
}

namespace {

// That made the socket: of test runs the task that runs it (kernel: __bpf_sk_cgroup_id). 0: there is none.
u64 cgroup_of(const RunSock* sock, const Run* run) {
  if (!sock || !sock->full) return 0;
  return sock->cgroup ? sock->cgroup : run->task->cgroup_id;
}

u64 cgroup_above(u64 cgroup, u32 level, const Run* run) {
  return cgroup && run->env->cgroup_above ? run->env->cgroup_above(run->env->self, cgroup, level) : 0;
}

}  // namespace

HELPER(help_sk_cgroup_id) {
  return cgroup_of(pointer_to<RunSock>(r1), run);
}

HELPER(help_sk_ancestor_cgroup_id) {
  return cgroup_above(cgroup_of(pointer_to<RunSock>(r1), run), low32(r2), run);
}

HELPER(help_skb_cgroup_id) {
  return cgroup_of(skb_at(r1).sk, run);
}

HELPER(help_skb_ancestor_cgroup_id) {
  return cgroup_above(cgroup_of(skb_at(r1).sk, run), low32(r2), run);
}

// Kernel: bpf_skb_under_cgroup.
HELPER(help_skb_under_cgroup) {
  Map& array = map_at(r2);
  const RunSock* const sock = skb_at(r1).sk;
  if (!sock || !sock->full) return result(-ENOENT);
  if (low32(r3) >= array.max_entries) return result(-E2BIG);
  const u64 wanted = object_at(array, low32(r3));
  if (!wanted) return result(-EAGAIN);
  for (u32 level = 0;; ++level) {
    const u64 id = cgroup_above(cgroup_of(sock, run), level, run);
    if (id == wanted || !id) return id == wanted;
  }
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
