// SPDX-License-Identifier: Apache-2.0
// Sockets: the model's only ones are those that BPF_PROG_TEST_RUN gives to its packets. Runtime code.
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

}  // namespace

// Kernel: __bpf_skc_lookup. A tuple that could name a socket finds none.
HELPER(help_sk_lookup) {
  bool known_family = low32(r3) == sizeof(bpf_sock_tuple::ipv4) || low32(r3) == sizeof(bpf_sock_tuple::ipv6);
  bool some_netns = static_cast<s32>(r4) < 0 || r4 <= 0x7fffffff;
  if (known_family && some_netns && !r5) missing(run, "sockets that programs look up");
  return 0;
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

// A socket of a protocol: those of test runs have none.
HELPER(help_skc_to_protocol_sock) {
  return 0;
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
