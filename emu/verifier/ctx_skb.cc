// SPDX-License-Identifier: Apache-2.0
// struct __sk_buff: one table of its fields for all kinds of programs that see it, which differ in what they see.
#include "emu/verifier/ctx_access.h"
#include "emu/verifier/ctx_fields.h"

namespace bpfemu {
namespace {

// Who is looking. A cgroup program whose loader has CAP_BPF is kCgroup and kCgroupBpf.
enum Viewer : u8 { kFilter = 1, kCgroup = 2, kCgroupBpf = 4, kLwt = 8, kSched = 16, kSkSkb = 32 };
constexpr u8 kNobody = 0, kAll = kFilter | kCgroup | kLwt | kSched | kSkSkb;
constexpr u8 kAddresses = kCgroup | kSkSkb;  // who sees the socket's addresses
constexpr u8 kPacketData = kCgroupBpf | kLwt | kSched | kSkSkb;

struct SkbRule {
  u32 first, end;
  u8 read_sizes, write_sizes;
  u8 readers, writers;
  u8 field_size = 0;
  RegType type = kScalar;
};

#define SKB(field) CTX_FIELD(__sk_buff, field)
#define SKB_TO(from, to) CTX_FIELDS(__sk_buff, from, to)

constexpr u32 kPaddingFirst = offsetof(__sk_buff, tstamp_type) + 1;

constexpr SkbRule kFields[] = {
    {SKB(mark), kUpToWord, kWord, kAll & ~kSkSkb, kCgroup | kLwt | kSched, 4},
    {SKB(queue_mapping), kUpToWord, kWord, kAll, kSched, 4},
    {SKB(priority), kUpToWord, kWord, kAll, kCgroup | kLwt | kSched | kSkSkb, 4},
    {SKB(tc_index), kUpToWord, kWord, kAll, kSched | kSkSkb, 4},
    {SKB(cb), kAnySize, kAnySize, kAll, kFilter | kCgroup | kLwt | kSched},
    {SKB(tc_classid), kUpToWord, kWord, kSched, kSched, 4},
    {SKB(data), kWord, 0, kPacketData, kNobody, 0, kPtrToPacket},
    {SKB(data_end), kWord, 0, kPacketData, kNobody, 0, kPtrToPacketEnd},
    {SKB(family), kUpToWord, 0, kAddresses, kNobody, 4},
    {SKB_TO(remote_ip4, local_ip6), kWord, 0, kAddresses, kNobody},
    {SKB_TO(remote_port, local_port), kUpToWord, 0, kAddresses, kNobody, 4},
    {SKB(data_meta), kWord, 0, kSched, kNobody, 0, kPtrToPacketMeta},
    {SKB(flow_keys), 0, 0, kNobody, kNobody},
    {SKB(tstamp), kWide, kWide, kCgroup | kSched, kCgroupBpf | kSched},
    {SKB(wire_len), kUpToWord, 0, kSched, kNobody, 4},
    {SKB(sk), kWide, 0, kAll, kNobody, 0, kPtrToSockCommon | kMaybeNull},
    {SKB(tstamp_type), kByte, 0, kSched, kNobody},
    {kPaddingFirst, offsetof(__sk_buff, hwtstamp), 0, 0, kNobody, kNobody},
    {SKB(hwtstamp), kWide, 0, kCgroup | kSched, kNobody},
    {0, sizeof(__sk_buff), kUpToWord, 0, kAll, kNobody, 4},  // all the rest
};

bool skb_access(u8 viewer, int offset, int size, Access access, CtxAccess& info) {
  if (offset < 0 || offset % size != 0) return false;
  u32 first = static_cast<u32>(offset);
  for (const SkbRule& rule : kFields) {
    if (first < rule.first || first >= rule.end) continue;
    bool read = access == Access::kRead;
    if (!((read ? rule.readers : rule.writers) & viewer)) return false;
    // Writable fields must be readable too: what is hidden stays hidden.
    if (!(rule.readers & viewer)) return false;
    if (!((read ? rule.read_sizes : rule.write_sizes) & size)) return false;
    if (first + static_cast<u32>(size) > rule.end) return false;
    info.reg_type = rule.type;
    if (read) info.ctx_field_size = rule.field_size;
    return true;
  }
  return false;
}

constexpr CtxRule kFlowDissectorRules[] = {
    {SKB(data), kWord, 0, 0, kPtrToPacket},
    {SKB(data_end), kWord, 0, 0, kPtrToPacketEnd},
    {SKB(flow_keys), kWide, 0, 0, kPtrToFlowKeys},
};

}  // namespace

bool socket_filter_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&, CtxAccess& info) {
  return skb_access(kFilter, offset, size, access, info);
}

bool cgroup_skb_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  u8 viewer = prog.caps.bpf || prog.caps.sys_admin ? kCgroup | kCgroupBpf : kCgroup;
  return skb_access(viewer, offset, size, access, info);
}

bool lwt_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&, CtxAccess& info) {
  return skb_access(kLwt, offset, size, access, info);
}

bool sched_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&, CtxAccess& info) {
  return skb_access(kSched, offset, size, access, info);
}

bool sk_skb_access(int offset, int size, Access access, const ProgInfo&, VerifierLog&, CtxAccess& info) {
  return skb_access(kSkSkb, offset, size, access, info);
}

bool flow_dissector_access(int offset, int size, Access access, const ProgInfo& prog, VerifierLog&, CtxAccess& info) {
  return check_ctx_rules(kFlowDissectorRules, offset, size, access, prog, info);
}

}  // namespace bpfemu
