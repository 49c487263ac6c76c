// SPDX-License-Identifier: Apache-2.0
// Redirection only says what the program is to return; the packet would go when it has returned. Runtime code.
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

bool is_tcp(const RunSock& sock) {
  return sock.protocol == IPPROTO_TCP && sock.type == SOCK_STREAM;
}

constexpr u64 kShot = 2, kRedirect = 7;  // TC_ACT_SHOT, TC_ACT_REDIRECT

// The socket of a map that data may be redirected to (kernel: sock_map_redirect_allowed). Null: there is none.
RunSock* target_socket(Run* run, u64 map, const void* key, u64 flags) {
  constexpr u32 kEstablished = 1, kListen = 10;
  if (flags & ~u64{BPF_F_INGRESS}) return nullptr;
  auto* sock = static_cast<RunSock*>(map_ops(map_at(map).type)->lookup(run, map_at(map), key));
  if (!sock) return nullptr;
  const bool allowed = is_tcp(*sock) ? sock->state != kListen : sock->state == kEstablished;
  return allowed ? sock : nullptr;
}

u64 redirect_skb(Run* run, u64 map, const void* key, u64 flags) {
  return target_socket(run, map, key, flags) ? SK_PASS : SK_DROP;
}
u64 redirect_message(Run* run, u64 map, const void* key, u64 flags) {
  const RunSock* sock = target_socket(run, map, key, flags);
  return sock && (flags & BPF_F_INGRESS || is_tcp(*sock)) ? SK_PASS : SK_DROP;
}

}  // namespace

// (context, map, u32 key, u64 flags); of hashes the key is a pointer.
HELPER(help_sk_redirect_map) {
  const u32 key = low32(r3);
  return redirect_skb(run, r2, &key, r4);
}
HELPER(help_sk_redirect_hash) {
  return redirect_skb(run, r2, pointer_to(r3), r4);
}
HELPER(help_msg_redirect_map) {
  const u32 key = low32(r3);
  return redirect_message(run, r2, &key, r4);
}
HELPER(help_msg_redirect_hash) {
  return redirect_message(run, r2, pointer_to(r3), r4);
}

HELPER(help_redirect) {
  if (run->program->type == BPF_PROG_TYPE_XDP) return r2 ? XDP_ABORTED : XDP_REDIRECT;
  return r2 & ~u64{BPF_F_INGRESS} ? kShot : kRedirect;
}

// (u32 ifindex, struct bpf_redir_neigh *, int size, u64 flags)
HELPER(help_redirect_neigh) {
  const s32 size = static_cast<s32>(r3);
  return r4 || (size && static_cast<u32>(size) < sizeof(bpf_redir_neigh)) ? kShot : kRedirect;
}

HELPER(help_redirect_peer) {
  return r2 ? kShot : kRedirect;
}

// (struct bpf_map *, u32 index, u64 flags): the lower bits of the flags are the result for an index without a target.
HELPER(help_redirect_map) {
  constexpr u64 kActions = XDP_ABORTED | XDP_DROP | XDP_PASS | XDP_TX;
  Map& map = map_at(r1);
  bool devices = map.type == BPF_MAP_TYPE_DEVMAP || map.type == BPF_MAP_TYPE_DEVMAP_HASH;
  u64 flags = devices ? kActions | BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS : kActions;
  if (r3 & ~flags) return XDP_ABORTED;
  u32 index = low32(r2);
  auto* lookup = map_ops(map.type)->lookup;
  bool found = lookup && lookup(run, map, &index);
  return found || r3 & BPF_F_BROADCAST ? u64{XDP_REDIRECT} : r3 & kActions;
}

}  // namespace bpfemu
