// SPDX-License-Identifier: Apache-2.0
// Sockets: those that BPF_PROG_TEST_RUN gives to its packets, and those of the tree that programs look up or find in maps.
// Runtime code.
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u32 kTcpClose = 7, kTcpListen = 10;
constexpr u32 kOverflowUid = 65534;
constexpr u32 kFibFlags = BPF_FIB_LOOKUP_DIRECT | BPF_FIB_LOOKUP_OUTPUT | BPF_FIB_LOOKUP_SKIP_NEIGH |
                          BPF_FIB_LOOKUP_TBID | BPF_FIB_LOOKUP_SRC;

RunSock* full(u64 address) {
  RunSock* sock = pointer_to<RunSock>(address);
  return sock && sock->full ? sock : nullptr;
}

// Kernel: __bpf_skc_lookup.
u64 look_up(Run* run, u64 tuple, u32 size, u64 netns, u64 flags, u8 protocol, bool full) {
  const bool ip4 = size == sizeof(bpf_sock_tuple::ipv4);
  if (!ip4 && size != sizeof(bpf_sock_tuple::ipv6)) return 0;
  const s32 id = static_cast<s32>(netns);
  if (flags || (id >= 0 && netns > 0x7fffffff)) return 0;
  const SocketLookupServices* lookup = run->env->lookup;
  if (!lookup) return missing(run, "sockets that programs look up"), 0;
  return lookup->find(lookup->self, pointer_to(tuple), ip4 ? AF_INET : AF_INET6, protocol, id, full);
}

bool sees_kernel_structs(u32 program_type) {
  return program_type == BPF_PROG_TYPE_TRACING || program_type == BPF_PROG_TYPE_LSM || program_type == BPF_PROG_TYPE_STRUCT_OPS;
}

// `sock` is a struct sock, or in the programs of the network a struct bpf_sock, which may know its struct sock.
u64 as_kind(Run* run, u64 sock, SockKind kind) {
  const TreeSocketServices* sockets = run->env->sockets;
  if (!sock || !sockets) return 0;
  const u64 known = sees_kernel_structs(run->program->type) ? 0 : pointer_to<RunSock>(sock)->kernel;
  return sockets->as_kind(sockets->self, known ? known : sock, kind);
}

}  // namespace

// (context, struct bpf_sock_tuple *, u32 size, u64 netns, u64 flags)
HELPER(help_sk_lookup_tcp) {
  return look_up(run, r2, low32(r3), r4, r5, IPPROTO_TCP, true);
}
HELPER(help_sk_lookup_udp) {
  return look_up(run, r2, low32(r3), r4, r5, IPPROTO_UDP, true);
}
HELPER(help_skc_lookup_tcp) {
  return look_up(run, r2, low32(r3), r4, r5, IPPROTO_TCP, false);
}

HELPER(help_sk_release) {
  return 0;
}

HELPER(help_sk_fullsock) {
  return address_of(full(r1));
}

HELPER(help_tcp_sock) {
  RunSock* sock = full(r1);
  return address_of(sock && sock->protocol == IPPROTO_TCP ? sock : nullptr);
}

HELPER(help_get_listener_sock) {
  RunSock* sock = pointer_to<RunSock>(r1);
  return address_of(sock->state == kTcpListen ? sock : nullptr);
}

// Kernel: bpf_sk_assign, for packets that have just come in, which those of test runs have not; bpf_sk_lookup_assign.
HELPER(help_sk_assign) {
  RunSock* sock = pointer_to<RunSock>(r2);
  if (run->program->type != BPF_PROG_TYPE_SK_LOOKUP) return result(!sock || r3 ? -EINVAL : -EOPNOTSUPP);
  RunSkLookup& lookup = *pointer_to<RunSkLookup>(r1);
  if (r3 & ~(u64{BPF_SK_LOOKUP_F_REPLACE} | BPF_SK_LOOKUP_F_NO_REUSEPORT)) return result(-EINVAL);
  if (sock) {
    const u32 wanted = sock->protocol == IPPROTO_TCP ? kTcpListen : kTcpClose;
    if (sock->state != wanted) return result(-ESOCKTNOSUPPORT);
    if (sock->protocol != lookup.protocol) return result(-EPROTOTYPE);
    if (sock->family != lookup.family && sock->family == AF_INET) return result(-EAFNOSUPPORT);
  }
  if (lookup.selected && !(r3 & BPF_SK_LOOKUP_F_REPLACE)) return result(-EEXIST);
  lookup.selected = sock;
  lookup.no_reuseport = (r3 & BPF_SK_LOOKUP_F_NO_REUSEPORT) != 0;
  return 0;
}

// The sockets of test runs are nobody's, which is root (kernel: sock_init_data).
HELPER(help_get_socket_uid) {
  return full(address_of(skb_at(r1).sk)) ? 0 : kOverflowUid;
}

HELPER(help_skc_to_tcp_sock) {
  return as_kind(run, r1, SockKind::kTcp);
}
HELPER(help_skc_to_tcp6_sock) {
  return as_kind(run, r1, SockKind::kTcp6);
}
HELPER(help_skc_to_tcp_timewait_sock) {
  return as_kind(run, r1, SockKind::kTcpTimeWait);
}
HELPER(help_skc_to_tcp_request_sock) {
  return as_kind(run, r1, SockKind::kTcpRequest);
}
HELPER(help_skc_to_udp6_sock) {
  return as_kind(run, r1, SockKind::kUdp6);
}
HELPER(help_skc_to_unix_sock) {
  return as_kind(run, r1, SockKind::kUnix);
}
HELPER(help_skc_to_mptcp_sock) {
  return as_kind(run, r1, SockKind::kMptcp);
}

// (struct file *)
HELPER(help_sock_from_file) {
  const TreeSocketServices* sockets = run->env->sockets;
  return sockets && r1 ? sockets->of_file(sockets->self, r1) : 0;
}

// The value that belongs to the program's cgroup (kernel: bpf_get_local_storage).
HELPER(help_get_local_storage) {
  return run->cgroup_storage[map_at(r1).type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE];
}

// Kernel: bpf_xdp_fib_lookup. There is no routing table.
HELPER(help_fib_lookup) {
  if (low32(r3) < sizeof(bpf_fib_lookup) || (low32(r4) & ~kFibFlags)) return result(-EINVAL);
  u8 family = pointer_to<bpf_fib_lookup>(r2)->family;
  if (family != AF_INET && family != AF_INET6) return result(-EAFNOSUPPORT);
  missing(run, "routes for bpf_fib_lookup");
  return result(-ENODEV);
}

}  // namespace bpfemu
