// SPDX-License-Identifier: Apache-2.0
// What sock_ops programs do about the connection that they are asked about. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u32 kTcp = 6, kSavedSyn = 28;  // IPPROTO_TCP, TCP_SAVED_SYN
constexpr u8 kNop = 1, kEnd = 0, kExperiment = 254, kOtherExperiment = 253;

// Has a connection just come about, by a segment that is at hand?
bool is_established(u32 op) {
  return op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB;
}

// What is searched for, as the kernel checks it (kernel: bpf_sock_ops_load_hdr_opt).
bool may_search(const u8* search, u32 size) {
  const u8 kind = search[0], length = search[1];
  if (length > size || kind == kNop || kind == kEnd) return false;
  if (kind != kExperiment && kind != kOtherExperiment) return length == 0;
  return length == 4 || length == 6;  // with two or four bytes of magic
}

// Has the connection the SYN that it came with? Those that others began have none.
bool has_saved_syn(Run* run, const bpf_sock_ops& seen) {
  switch (seen.op) {
    case BPF_SOCK_OPS_TCP_LISTEN_CB:
    case BPF_SOCK_OPS_TCP_CONNECT_CB:
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB: return false;
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB: {
      u8 first = 0;
      const SocketServices* socket = run->env->socket;
      return socket && socket->get_option(socket->self, kTcp, kSavedSyn, &first, sizeof first) == 0;
    }
    default: return true;
  }
}

}  // namespace

// Kernel: bpf_sock_ops_cb_flags_set.
HELPER(help_sock_ops_cb_flags_set) {
  bpf_sock_ops& seen = pointer_to<RunSockOps>(r1)->seen;
  if (!seen.is_fullsock) return result(-EINVAL);
  seen.bpf_sock_ops_cb_flags = low32(r2) & BPF_SOCK_OPS_ALL_CB_FLAGS;
  return low32(r2) & ~u32{BPF_SOCK_OPS_ALL_CB_FLAGS};
}

// Where a connection begins or somebody listens (kernel: bpf_sock_map_update, bpf_sock_hash_update).
HELPER(help_sock_map_update) {
  const auto* of = pointer_to<const RunSockOps>(r1);
  const bool may = is_established(of->seen.op) || of->seen.op == BPF_SOCK_OPS_TCP_LISTEN_CB;
  const TreeSocketServices* sockets = run->env->sockets;
  if (!may || !sockets) return result(-EOPNOTSUPP);
  return result(sockets->put_anyhow(sockets->self, &map_at(r2), pointer_to(r3), of->sock.kernel, r4));
}

// Of segments only the host's kernel knows the options.
HELPER(help_load_hdr_opt) {
  const bpf_sock_ops& seen = pointer_to<const RunSockOps>(r1)->seen;
  const bool of_syn = r4 & BPF_LOAD_HDR_OPT_TCP_SYN;
  if (low32(r3) < 2 || (r4 & ~u64{BPF_LOAD_HDR_OPT_TCP_SYN})) return result(-EINVAL);
  if (!may_search(pointer_to<const u8>(r2), low32(r3))) return result(-EINVAL);
  if (of_syn && !has_saved_syn(run, seen)) return result(-ENOENT);
  if (!of_syn && !is_established(seen.op)) return result(-EPERM);
  missing(run, of_syn ? "header options of saved SYNs" : "header options of segments");
  return result(-ENOMSG);
}

// Nobody is asked about the headers of segments that are sent, where alone these may be called (kernel:
// bpf_sock_ops_store_hdr_opt, bpf_sock_ops_reserve_hdr_opt).
HELPER(help_change_hdr_opt) {
  return result(-EPERM);
}

}  // namespace bpfemu
