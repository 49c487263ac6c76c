// SPDX-License-Identifier: Apache-2.0
// Contexts of programs attached to cgroups: socket addresses, socket operations, devices, sysctl and socket options.
#include "emu/verifier/ctx_access.h"
#include "emu/verifier/ctx_fields.h"

namespace bpfemu {
namespace {

constexpr u64 kIp4 = attached_as({BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET4_GETPEERNAME,
                                  BPF_CGROUP_INET4_GETSOCKNAME, BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP4_RECVMSG});
constexpr u64 kIp6 = attached_as({BPF_CGROUP_INET6_BIND, BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_INET6_GETPEERNAME,
                                  BPF_CGROUP_INET6_GETSOCKNAME, BPF_CGROUP_UDP6_SENDMSG, BPF_CGROUP_UDP6_RECVMSG});
constexpr u64 kSend4 = attached_as({BPF_CGROUP_UDP4_SENDMSG}), kSend6 = attached_as({BPF_CGROUP_UDP6_SENDMSG});

// Addresses of IPv6 may be read and written two words at a time.
#define ADDR(field) CTX_FIELD(bpf_sock_addr, field)
constexpr CtxRule kSockAddr[] = {
    {ADDR(user_family), kWord},
    {ADDR(user_ip4), kUpToWord, kWord, 4, kScalar, kIp4, kIp4},
    {ADDR(user_ip6), kAnySize, kWord | kWide, 4, kScalar, kIp6, kIp6},
    {ADDR(user_port), kUpToWord, kWord, 4},
    {CTX_FIELDS(bpf_sock_addr, family, protocol), kWord},
    {ADDR(msg_src_ip4), kUpToWord, kWord, 4, kScalar, kSend4, kSend4},
    {ADDR(msg_src_ip6), kAnySize, kWord | kWide, 4, kScalar, kSend6, kSend6},
    {ADDR(sk), kWide, 0, 0, kPtrToSocket},
};

#define OPS(field) CTX_FIELD(bpf_sock_ops, field)
constexpr CtxRule kSockOps[] = {
    {OPS(reply), kWord, kWord},
    {OPS(sk_txhash), kWord, kWord},
    {CTX_FIELDS(bpf_sock_ops, bytes_received, bytes_acked), kWide},
    {OPS(sk), kWide, 0, 0, kPtrToSocket | kMaybeNull},
    {OPS(skb_data), kWide, 0, 0, kPtrToPacket},
    {OPS(skb_data_end), kWide, 0, 0, kPtrToPacketEnd},
    {OPS(skb_tcp_flags), kUpToWord, 0, 4, kScalar, kAnyAttach, kAnyAttach, true},
    {0, sizeof(bpf_sock_ops), kWord},  // all the rest
};

#define DEVICE(field) CTX_FIELD(bpf_cgroup_dev_ctx, field)
constexpr CtxRule kDevice[] = {
    {DEVICE(access_type), kUpToWord, 0, 4},
    {CTX_FIELDS(bpf_cgroup_dev_ctx, major, minor), kWord},
};

constexpr CtxRule kSysctl[] = {
    {CTX_FIELD(bpf_sysctl, write), kUpToWord, 0, 4},
    {CTX_FIELD(bpf_sysctl, file_pos), kUpToWord, kWord, 4},
};

constexpr u64 kGet = attached_as({BPF_CGROUP_GETSOCKOPT}), kSet = attached_as({BPF_CGROUP_SETSOCKOPT});
#define OPT(field) CTX_FIELD(bpf_sockopt, field)
constexpr CtxRule kSockopt[] = {
    {OPT(sk), kWide, 0, 0, kPtrToSocket},
    {OPT(optval), kWide, 0, 0, kPtrToPacket},
    {OPT(optval_end), kWide, 0, 0, kPtrToPacketEnd},
    {OPT(level), kWord, kWord, 0, kScalar, kAnyAttach, kSet},
    {OPT(optname), kWord, kWord, 0, kScalar, kAnyAttach, kSet},
    {OPT(optlen), kWord, kWord},
    {OPT(retval), kWord, kWord, 0, kScalar, kGet, kGet},
};

}  // namespace

bool cgroup_sock_addr_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kSockAddr, offset, size, access, prog, info);
}

bool sock_ops_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kSockOps, offset, size, access, prog, info);
}

bool cgroup_device_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kDevice, offset, size, access, prog, info);
}

bool cgroup_sysctl_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kSysctl, offset, size, access, prog, info);
}

bool cgroup_sockopt_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kSockopt, offset, size, access, prog, info);
}

}  // namespace bpfemu
