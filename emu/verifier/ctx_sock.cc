// SPDX-License-Identifier: Apache-2.0
// The sockets that programs may look into: struct bpf_sock, bpf_tcp_sock and bpf_xdp_sock.
#include "emu/verifier/ctx_access.h"
#include "emu/verifier/ctx_fields.h"

namespace bpfemu {
namespace {

#define SOCK(field) CTX_FIELD(bpf_sock, field)
#define SOCK_TO(from, to) CTX_FIELDS(bpf_sock, from, to)

// dst_port is two bytes and two of padding, which old programs read as one word.
constexpr u32 kPort = offsetof(bpf_sock, dst_port);
constexpr CtxRule kSocket[] = {
    {SOCK(bound_dev_if), kWord},
    {SOCK_TO(family, protocol), kUpToWord, 0, 4, kScalar, kAnyAttach, kAnyAttach, true},
    {SOCK_TO(mark, priority), kWord},
    {SOCK_TO(src_ip4, src_ip6), kUpToWord, 0, 4},
    {SOCK(src_port), kUpToWord, 0, 4, kScalar, kAnyAttach, kAnyAttach, true},
    {kPort + 2, kPort + 4},
    {kPort, kPort + 4, kUpToWord, 0, 2},
    {SOCK_TO(dst_ip4, dst_ip6), kUpToWord, 0, 4},
    {SOCK_TO(state, rx_queue_mapping), kUpToWord, 0, 4, kScalar, kAnyAttach, kAnyAttach, true},
};

constexpr u32 kReceived = offsetof(bpf_tcp_sock, bytes_received), kAcked = offsetof(bpf_tcp_sock, bytes_acked);
constexpr CtxRule kTcpSock[] = {
    {kReceived + 4, kReceived + 8, kWord},  // the upper halves of the two counters pass for words
    {kAcked + 4, kAcked + 8, kWord},
    {CTX_FIELDS(bpf_tcp_sock, bytes_received, bytes_acked), kWide},
    {CTX_FIELDS(bpf_tcp_sock, snd_cwnd, icsk_retransmits), kWord},
};

constexpr CtxRule kXdpSock[] = {{CTX_FIELD(bpf_xdp_sock, queue_id), kWord}};

// The fields that sockets which are not full sockets (time wait, request) lack.
constexpr CtxRule kFullSock = {SOCK_TO(type, priority)};

// What only programs attached at certain points see of their own socket, and may change.
struct Restriction {
  u32 first, end;
  u64 attached;
  bool writable;
};
constexpr u64 kLifetime = attached_as({BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_RELEASE});
constexpr Restriction kRestrictions[] = {
    {SOCK(bound_dev_if), kLifetime, true},
    {SOCK_TO(mark, priority), kLifetime, true},
    {SOCK(src_ip4), attached_as({BPF_CGROUP_INET4_POST_BIND}), false},
    {SOCK(src_ip6), attached_as({BPF_CGROUP_INET6_POST_BIND}), false},
    {SOCK(src_port), attached_as({BPF_CGROUP_INET4_POST_BIND, BPF_CGROUP_INET6_POST_BIND}), false},
};

}  // namespace

bool is_valid_sock_access(RegType base, int offset, int size, Access access, CtxAccess& info) {
  const ProgInfo any_program;
  switch (base_type(base)) {
    case kPtrToSockCommon:
      if (offset >= static_cast<int>(kFullSock.first) && offset < static_cast<int>(kFullSock.end)) return false;
      [[fallthrough]];
    case kPtrToSocket: return check_ctx_rules(kSocket, offset, size, access, any_program, info);
    case kPtrToTcpSock: return check_ctx_rules(kTcpSock, offset, size, access, any_program, info);
    case kPtrToXdpSock: return check_ctx_rules(kXdpSock, offset, size, access, any_program, info);
    default: return false;
  }
}

bool cgroup_sock_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  bool writable = false;
  for (const Restriction& rule : kRestrictions) {
    if (offset < static_cast<int>(rule.first) || offset >= static_cast<int>(rule.end)) continue;
    if (!attach_type_in(rule.attached, prog.expected_attach_type)) return false;
    writable = rule.writable;
  }
  if (access == Access::kWrite && !writable) return false;
  return check_ctx_rules(kSocket, offset, size, Access::kRead, prog, info);
}

}  // namespace bpfemu
