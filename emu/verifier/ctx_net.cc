// SPDX-License-Identifier: Apache-2.0
// Contexts of XDP, socket message, socket lookup and reuseport programs.
#include "emu/verifier/ctx_access.h"
#include "emu/verifier/ctx_fields.h"

namespace bpfemu {
namespace {

#define XDP(field) CTX_FIELD(xdp_md, field)
constexpr CtxRule kXdp[] = {
    {XDP(data), kWord, 0, 0, kPtrToPacket},
    {XDP(data_end), kWord, 0, 0, kPtrToPacketEnd},
    {XDP(data_meta), kWord, 0, 0, kPtrToPacketMeta},
    {CTX_FIELDS(xdp_md, ingress_ifindex, rx_queue_index), kWord},
    {XDP(egress_ifindex), kWord, 0, 0, kScalar, attached_as({BPF_XDP_DEVMAP})},
};

#define MSG(field) CTX_FIELD(sk_msg_md, field)
constexpr CtxRule kSkMsg[] = {
    {MSG(data), kWide, 0, 0, kPtrToPacket},
    {MSG(data_end), kWide, 0, 0, kPtrToPacketEnd},
    {CTX_FIELDS(sk_msg_md, family, size), kWord},
    {MSG(sk), kWide, 0, 0, kPtrToSocket},
};

#define REUSEPORT(field) CTX_FIELD(sk_reuseport_md, field)
constexpr CtxRule kSkReuseport[] = {
    {REUSEPORT(data), kWide, 0, 0, kPtrToPacket},
    {REUSEPORT(data_end), kWide, 0, 0, kPtrToPacketEnd},
    {REUSEPORT(len), kUpToWord, 0, 4},
    {REUSEPORT(eth_protocol), kHalf | kWord, 0, 4},
    {CTX_FIELDS(sk_reuseport_md, ip_protocol, bind_inany), kUpToWord, 0, 4},
    {REUSEPORT(hash), kWord},
    {REUSEPORT(sk), kWide, 0, 0, kPtrToSocket},
    {REUSEPORT(migrating_sk), kWide, 0, 0, kPtrToSockCommon | kMaybeNull},
};

// remote_port is two bytes and two of padding, which old programs read as one word.
#define LOOKUP(field) CTX_FIELD(bpf_sk_lookup, field)
constexpr u32 kLookupPort = offsetof(bpf_sk_lookup, remote_port), kLookupLocal = offsetof(bpf_sk_lookup, local_ip4);
constexpr CtxRule kSkLookup[] = {
    {LOOKUP(sk), kWide, 0, 0, kPtrToSocket | kMaybeNull},
    {CTX_FIELDS(bpf_sk_lookup, family, remote_ip6), kUpToWord, 0, 4},
    {kLookupPort, kLookupLocal, kUpToWord, 0, 2},
    {CTX_FIELDS(bpf_sk_lookup, local_ip4, ingress_ifindex), kUpToWord, 0, 4},
};

}  // namespace

bool xdp_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kXdp, offset, size, access, prog, info);
}

bool sk_msg_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kSkMsg, offset, size, access, prog, info);
}

bool sk_reuseport_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kSkReuseport, offset, size, access, prog, info);
}

bool sk_lookup_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kSkLookup, offset, size, access, prog, info);
}

}  // namespace bpfemu
