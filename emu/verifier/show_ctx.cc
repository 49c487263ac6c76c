// SPDX-License-Identifier: Apache-2.0
// Context accesses as the claimed kernel rewrites them, for dumps: with the offsets that its BTF gives (kernel:
// convert_ctx_accesses, bpf_convert_ctx_access, xdp_convert_ctx_access and their like). Contexts and fields
// without a line here are shown as the program has them.
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <optional>
#include <span>

#include "emu/isa/opcode.h"
#include "emu/verifier/ctx_fields.h"
#include "emu/verifier/fixup_calls.h"
#include "emu/verifier/fixup_phases.h"

namespace bpfemu {
namespace {

constexpr u8 kAx = 11;             // BPF_REG_AX
constexpr s32 kMinNapiId = 8193;   // NR_CPUS + 1
constexpr s32 kNoQueue = 0xffff;   // NO_QUEUE_MAPPING
constexpr s32 kTcShot = 2, kSkDrop = 0;

// One load: from `path` in `object`, and further by `inner_path` in `inner`, which the kernel keeps there untyped.
struct Hop {
  const char *object, *path;
  u8 size;  // 0: as the program's access
  const char *inner = nullptr, *inner_path = nullptr;
};

enum class Then : u8 { kNothing, kPacketType, kLowBit, kUpperHalf, kNapi, kQueue, kRxQueue, kShared, kIfDevice, kIfThere };

struct KernelField {
  u32 first, end;     // of the context
  u8 kept;            // bytes that the kernel keeps it in, of which narrow loads mask a part; 0: they do not exist
  Hop hops[3];
  Then then = Then::kNothing;
  bool indexed = false;  // what lies further inside the field is loaded from further inside
};

#define SKB(name) CTX_FIELD(__sk_buff, name)
#define OWN(path, size) {{"sk_buff", path, size}}
#define CB(object, path, size) {{"sk_buff", "cb", size, object, path}}
#define SOCKET(path, size) {{"sk_buff", "sk", 8}, {"sock_common", path, size}}
#define SHARED(path, size) {{"skb_shared_info", path, size}}

constexpr KernelField kSkb[] = {
    {SKB(len), 4, OWN("len", 4)},
    {SKB(pkt_type), 1, OWN("__pkt_type_offset", 1), Then::kPacketType},
    {SKB(mark), 4, OWN("mark", 4)},
    {SKB(queue_mapping), 2, OWN("queue_mapping", 2), Then::kQueue},
    {SKB(protocol), 2, OWN("protocol", 2)},
    {SKB(vlan_present), 1, OWN("__pkt_vlan_present_offset", 1), Then::kLowBit},
    {SKB(vlan_tci), 2, OWN("vlan_tci", 2)},
    {SKB(vlan_proto), 2, OWN("vlan_proto", 2)},
    {SKB(priority), 4, OWN("priority", 4)},
    {SKB(ingress_ifindex), 4, OWN("skb_iif", 4)},
    {SKB(ifindex), 4, {{"sk_buff", "dev", 8}, {"net_device", "ifindex", 4}}, Then::kIfDevice},
    {SKB(tc_index), 2, OWN("tc_index", 2)},
    {SKB(cb), 0, CB("qdisc_skb_cb", "data", 0), Then::kNothing, true},
    {SKB(hash), 4, OWN("hash", 4)},
    {SKB(tc_classid), 2, CB("qdisc_skb_cb", "tc_classid", 2)},
    {SKB(data), 0, OWN("data", 8)},
    {SKB(data_end), 0, CB("bpf_skb_data_end", "data_end", 8)},
    {SKB(napi_id), 4, OWN("napi_id", 4), Then::kNapi},
    {SKB(family), 2, SOCKET("skc_family", 2)},
    {SKB(remote_ip4), 4, SOCKET("skc_daddr", 4)},
    {SKB(local_ip4), 4, SOCKET("skc_rcv_saddr", 4)},
    {SKB(remote_ip6), 0, SOCKET("skc_v6_daddr", 4), Then::kNothing, true},
    {SKB(local_ip6), 0, SOCKET("skc_v6_rcv_saddr", 4), Then::kNothing, true},
    {SKB(remote_port), 2, SOCKET("skc_dport", 2), Then::kUpperHalf},
    {SKB(local_port), 2, SOCKET("skc_num", 2)},
    {SKB(data_meta), 0, CB("bpf_skb_data_end", "data_meta", 8)},
    {SKB(wire_len), 4, CB("qdisc_skb_cb", "pkt_len", 4)},
    {SKB(gso_segs), 2, SHARED("gso_segs", 2), Then::kShared},
    {SKB(gso_size), 2, SHARED("gso_size", 2), Then::kShared},
    {SKB(hwtstamp), 8, SHARED("hwtstamps", 8), Then::kShared},
    {SKB(sk), 0, OWN("sk", 8)},
};

#define XDP(name) CTX_FIELD(xdp_md, name)
constexpr KernelField kXdp[] = {
    {XDP(data), 0, {{"xdp_buff", "data", 8}}},
    {XDP(data_end), 0, {{"xdp_buff", "data_end", 8}}},
    {XDP(data_meta), 0, {{"xdp_buff", "data_meta", 8}}},
    {XDP(ingress_ifindex), 0, {{"xdp_buff", "rxq", 8}, {"xdp_rxq_info", "dev", 8}, {"net_device", "ifindex", 4}}},
    {XDP(rx_queue_index), 0, {{"xdp_buff", "rxq", 8}, {"xdp_rxq_info", "queue_index", 4}}},
    {XDP(egress_ifindex), 0, {{"xdp_buff", "txq", 8}, {"xdp_txq_info", "dev", 8}, {"net_device", "ifindex", 4}}},
};

#define PERF(name) CTX_FIELD(bpf_perf_event_data, name)
#define SAMPLE(path) {{"bpf_perf_event_data_kern", "data", 8}, {"perf_sample_data", path, 8}}
constexpr KernelField kPerfEvent[] = {
    {PERF(regs), 0, {{"bpf_perf_event_data_kern", "regs", 8}, {"pt_regs", "r15", 8}}, Then::kNothing, true},
    {PERF(sample_period), 8, SAMPLE("period")},
    {PERF(addr), 8, SAMPLE("addr")},
};

#define SOCK(name) CTX_FIELD(bpf_sock, name)
#define COMMON(path, size) {{"sock_common", path, size}}
constexpr KernelField kSock[] = {
    {SOCK(bound_dev_if), 0, {{"sock", "__sk_common.skc_bound_dev_if", 4}}},
    {SOCK(family), 2, COMMON("skc_family", 2)},
    {SOCK(type), 2, {{"sock", "sk_type", 2}}},
    {SOCK(protocol), 2, {{"sock", "sk_protocol", 2}}},
    {SOCK(mark), 0, {{"sock", "sk_mark", 4}}},
    {SOCK(priority), 0, {{"sock", "sk_priority", 4}}},
    {SOCK(src_ip4), 4, COMMON("skc_rcv_saddr", 0)},
    {SOCK(src_ip6), 4, COMMON("skc_v6_rcv_saddr", 0), Then::kNothing, true},
    {SOCK(src_port), 2, COMMON("skc_num", 2)},
    {SOCK(dst_port), 2, COMMON("skc_dport", 2)},
    {SOCK(dst_ip4), 4, COMMON("skc_daddr", 0)},
    {SOCK(dst_ip6), 4, COMMON("skc_v6_daddr", 0), Then::kNothing, true},
    {SOCK(state), 1, COMMON("skc_state", 1)},
    {SOCK(rx_queue_mapping), 4, COMMON("skc_rx_queue_mapping", 2), Then::kRxQueue},
};

#define MESSAGE(name) CTX_FIELD(sk_msg_md, name)
#define OF_SENDER(path, size) {{"sk_msg", "sk", 8}, {"sock_common", path, size}}
constexpr KernelField kSkMsg[] = {
    {MESSAGE(data), 0, {{"sk_msg", "data", 8}}},
    {MESSAGE(data_end), 0, {{"sk_msg", "data_end", 8}}},
    {MESSAGE(family), 0, OF_SENDER("skc_family", 2)},
    {MESSAGE(remote_ip4), 0, OF_SENDER("skc_daddr", 4)},
    {MESSAGE(local_ip4), 0, OF_SENDER("skc_rcv_saddr", 4)},
    {MESSAGE(remote_ip6), 0, OF_SENDER("skc_v6_daddr", 4), Then::kNothing, true},
    {MESSAGE(local_ip6), 0, OF_SENDER("skc_v6_rcv_saddr", 4), Then::kNothing, true},
    {MESSAGE(remote_port), 0, OF_SENDER("skc_dport", 2), Then::kUpperHalf},
    {MESSAGE(local_port), 0, OF_SENDER("skc_num", 2)},
    {MESSAGE(size), 0, {{"sk_msg", "sg.size", 4}}},
    {MESSAGE(sk), 0, {{"sk_msg", "sk", 8}}},
};

#define CHOICE(name) CTX_FIELD(sk_reuseport_md, name)
#define OF_CHOICE(path, size) {{"sk_reuseport_kern", path, size}}
#define OF_PACKET(path, size) {{"sk_reuseport_kern", "skb", 8}, {"sk_buff", path, size}}
constexpr KernelField kSkReuseport[] = {
    {CHOICE(data), 8, OF_PACKET("data", 8)},
    {CHOICE(data_end), 8, OF_CHOICE("data_end", 8)},
    {CHOICE(len), 4, OF_PACKET("len", 4)},
    {CHOICE(eth_protocol), 2, OF_PACKET("protocol", 2)},
    {CHOICE(ip_protocol), 2, {{"sk_reuseport_kern", "sk", 8}, {"sock", "sk_protocol", 2}}},
    {CHOICE(bind_inany), 1, OF_CHOICE("bind_inany", 1)},
    {CHOICE(hash), 4, OF_CHOICE("hash", 4)},
    {CHOICE(sk), 8, OF_CHOICE("sk", 8)},
    {CHOICE(migrating_sk), 8, OF_CHOICE("migrating_sk", 8)},
};

#define LOOKUP(name) CTX_FIELD(bpf_sk_lookup, name)
#define OF_LOOKUP(path, size) {{"bpf_sk_lookup_kern", path, size}}
#define ADDRESS(path) {{"bpf_sk_lookup_kern", path, 8}, {"in6_addr", "in6_u", 4}}
constexpr KernelField kSkLookup[] = {
    {LOOKUP(sk), 8, OF_LOOKUP("selected_sk", 8)},
    {LOOKUP(family), 2, OF_LOOKUP("family", 2)},
    {LOOKUP(protocol), 2, OF_LOOKUP("protocol", 2)},
    {LOOKUP(remote_ip4), 4, OF_LOOKUP("v4.saddr", 4)},
    {LOOKUP(remote_ip6), 4, ADDRESS("v6.saddr"), Then::kIfThere, true},
    {LOOKUP(remote_port), 2, OF_LOOKUP("sport", 2)},
    {LOOKUP(local_ip4), 4, OF_LOOKUP("v4.daddr", 4)},
    {LOOKUP(local_ip6), 4, ADDRESS("v6.daddr"), Then::kIfThere, true},
    {LOOKUP(local_port), 2, OF_LOOKUP("dport", 2)},
    {LOOKUP(ingress_ifindex), 4, OF_LOOKUP("ingress_ifindex", 4)},
};

#define OF_FLOW(path) {{"bpf_flow_dissector", path, 8}}
constexpr KernelField kFlowDissector[] = {
    {SKB(data), 0, OF_FLOW("data")},
    {SKB(data_end), 0, OF_FLOW("data_end")},
    {SKB(flow_keys), 0, OF_FLOW("flow_keys")},
};

#undef SKB
#undef OWN
#undef CB
#undef SOCKET
#undef SHARED
#undef XDP
#undef PERF
#undef SAMPLE
#undef SOCK
#undef COMMON
#undef MESSAGE
#undef OF_SENDER
#undef CHOICE
#undef OF_CHOICE
#undef OF_PACKET
#undef LOOKUP
#undef OF_LOOKUP
#undef ADDRESS
#undef OF_FLOW

// Of what a pointer of that type leads to, in a program of this one.
std::span<const KernelField> fields(RegType pointer, u32 type) {
  if (pointer == kPtrToSocket || pointer == kPtrToSockCommon) return kSock;
  if (pointer != kPtrToCtx) return {};
  switch (type) {
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS:
    case BPF_PROG_TYPE_SCHED_ACT:
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_LWT_IN:
    case BPF_PROG_TYPE_LWT_OUT:
    case BPF_PROG_TYPE_LWT_XMIT:
    case BPF_PROG_TYPE_LWT_SEG6LOCAL: return kSkb;
    case BPF_PROG_TYPE_XDP: return kXdp;
    case BPF_PROG_TYPE_PERF_EVENT: return kPerfEvent;
    case BPF_PROG_TYPE_CGROUP_SOCK: return kSock;
    case BPF_PROG_TYPE_SK_MSG: return kSkMsg;
    case BPF_PROG_TYPE_SK_REUSEPORT: return kSkReuseport;
    case BPF_PROG_TYPE_SK_LOOKUP: return kSkLookup;
    case BPF_PROG_TYPE_FLOW_DISSECTOR: return kFlowDissector;
    default: return {};
  }
}

constexpr u8 size_code(u32 bytes) {
  return bytes == 8 ? BPF_DW : bytes == 4 ? BPF_W : bytes == 2 ? BPF_H : BPF_B;
}

class Shower {
 public:
  explicit Shower(FixupProgram& program)
      : program_(program),
        rewrite_(program),
        vmlinux_(program.info.world ? program.info.world->vmlinux.get() : nullptr),
        type_(program.info.resolved_type()) {}

  Result<void> run() {
    if (!vmlinux_) return {};
    TRY(show_prologue());
    for (u32 i = 0; i < program_.insns.size(); ++i) {
      const Insn& insn = program_.insns[i];
      u8 kind = BPF_CLASS(insn.code);
      if ((kind != BPF_LDX && kind != BPF_STX) || BPF_MODE(insn.code) != BPF_MEM) continue;
      patch_.clear();
      for (const KernelField& field : fields(program_.aux[i].ptr_type, type_)) {
        if (insn.off < static_cast<int>(field.first) || insn.off >= static_cast<int>(field.end)) continue;
        if (show(field, insn, static_cast<u32>(program_.aux[i].ctx_field_size))) rewrite_.replace(i, patch_);
        break;
      }
    }
    return rewrite_.apply();
  }

 private:
  void add(u8 code, u8 dst, u8 src, s16 off, s32 imm) { patch_.push_back(make_insn(code, dst, src, off, imm)); }

  std::optional<u32> place(const Hop& hop) const {
    auto outer = vmlinux_->offset_of(hop.object, hop.path);
    if (!outer) return std::nullopt;
    if (!hop.inner) return *outer;
    auto inner = vmlinux_->offset_of(hop.inner, hop.inner_path);
    return inner ? std::optional(*outer + *inner) : std::nullopt;
  }

  // A program that writes packets first makes a cloned one its own (kernel: bpf_unclone_prologue).
  Result<void> show_prologue() {
    bool tc = type_ == BPF_PROG_TYPE_SCHED_CLS || type_ == BPF_PROG_TYPE_SCHED_ACT;
    if (!program_.info.seen_direct_write || (!tc && type_ != BPF_PROG_TYPE_SK_SKB)) return {};
    auto cloned = vmlinux_->offset_of("sk_buff", "__cloned_offset");
    if (!cloned) return {};
    patch_.clear();
    add(BPF_LDX | BPF_MEM | BPF_B, BPF_REG_6, BPF_REG_1, static_cast<s16>(*cloned), 0);
    add(BPF_ALU | BPF_AND | BPF_K, BPF_REG_6, 0, 0, 1);
    add(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_6, 0, 7, 0);
    add(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0);
    add(BPF_ALU64 | BPF_XOR | BPF_X, BPF_REG_2, BPF_REG_2, 0, 0);
    add(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_pull_data);
    add(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 0);
    add(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, tc ? kTcShot : kSkDrop);
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    add(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0);
    Insn first = program_.insns[0];
    bool names_function = (first.code == (BPF_JMP | BPF_CALL) && first.src_reg == BPF_PSEUDO_CALL) ||
                          (first.code == (BPF_LD | BPF_IMM | BPF_DW) && first.src_reg == BPF_PSEUDO_FUNC);
    if (names_function) ++first.imm;  // in a patch: the index of the function
    patch_.push_back(first);
    rewrite_.replace(0, patch_);
    return rewrite_.apply();
  }

  // False: the claimed kernel's BTF lacks something, and the access stays as it is.
  bool show(const KernelField& field, Insn insn, u32 field_size) {
    bool load = BPF_CLASS(insn.code) == BPF_LDX;
    u32 size = access_size(insn.code), offset = static_cast<u32>(insn.off);
    bool narrow = load && size < field_size;
    if (narrow) {
      insn.off = static_cast<s16>(offset & ~(field_size - 1));
      insn.code = static_cast<u8>(BPF_LDX | BPF_MEM | size_code(field_size));
    }
    if (field.then == Then::kShared && !load_shared(insn)) return false;
    if (field.then == Then::kQueue && !load) add(BPF_JMP | BPF_JGE | BPF_K, insn.src_reg, 0, 1, kNoQueue);
    if (!load_hops(field, insn, load)) return false;
    finish(field.then, insn);
    if (narrow && size < field.kept) mask(insn.dst_reg, size, field_size, (offset & (field_size - 1)) * 8);
    return true;
  }

  bool load_hops(const KernelField& field, const Insn& insn, bool load) {
    u8 from = field.then == Then::kShared ? insn.dst_reg : insn.src_reg;
    for (const Hop& hop : field.hops) {
      if (!hop.object) break;
      auto at = place(hop);
      if (!at) return false;
      bool last = &hop == &field.hops[2] || !(&hop + 1)->object;
      if (last && field.indexed) *at += static_cast<u32>(insn.off) - field.first;
      u8 size = hop.size ? size_code(hop.size) : BPF_SIZE(insn.code);
      u8 code = static_cast<u8>((load ? BPF_LDX : BPF_STX) | BPF_MEM | size);
      add(code, insn.dst_reg, from, static_cast<s16>(*at), 0);
      // Only programs of traffic control can rely on a device.
      bool tc = type_ == BPF_PROG_TYPE_SCHED_CLS || type_ == BPF_PROG_TYPE_SCHED_ACT;
      bool may_lack = field.then == Then::kIfThere || (field.then == Then::kIfDevice && !tc);
      if (may_lack && !last) add(BPF_JMP | BPF_JEQ | BPF_K, insn.dst_reg, 0, 1, 0);
      from = insn.dst_reg;
    }
    return true;
  }

  // skb_shinfo(): head + end.
  bool load_shared(const Insn& insn) {
    auto end = vmlinux_->offset_of("sk_buff", "end"), head = vmlinux_->offset_of("sk_buff", "head");
    if (!end || !head) return false;
    add(BPF_LDX | BPF_MEM | BPF_W, kAx, insn.src_reg, static_cast<s16>(*end), 0);
    add(BPF_LDX | BPF_MEM | BPF_DW, insn.dst_reg, insn.src_reg, static_cast<s16>(*head), 0);
    add(BPF_ALU64 | BPF_ADD | BPF_X, insn.dst_reg, kAx, 0, 0);
    return true;
  }

  void finish(Then then, const Insn& insn) {
    switch (then) {
      case Then::kPacketType: add(BPF_ALU | BPF_AND | BPF_K, insn.dst_reg, 0, 0, 7); break;
      case Then::kLowBit: add(BPF_ALU | BPF_AND | BPF_K, insn.dst_reg, 0, 0, 1); break;
      case Then::kUpperHalf: add(BPF_ALU | BPF_LSH | BPF_K, insn.dst_reg, 0, 0, 16); break;
      case Then::kNapi:
        add(BPF_JMP | BPF_JGE | BPF_K, insn.dst_reg, 0, 1, kMinNapiId);
        add(BPF_ALU64 | BPF_MOV | BPF_K, insn.dst_reg, 0, 0, 0);
        break;
      case Then::kRxQueue:
        add(BPF_JMP | BPF_JNE | BPF_K, insn.dst_reg, 0, 1, kNoQueue);
        add(BPF_ALU | BPF_MOV | BPF_K, insn.dst_reg, 0, 0, -1);
        break;
      default: break;
    }
  }

  void mask(u8 reg, u32 size, u32 field_size, u32 shift) {
    u8 wide = field_size <= 4 ? BPF_ALU : BPF_ALU64;
    if (shift) add(static_cast<u8>(wide | BPF_RSH | BPF_K), reg, 0, 0, static_cast<s32>(shift));
    add(BPF_ALU | BPF_AND | BPF_K, reg, 0, 0, static_cast<s32>((u64{1} << size * 8) - 1));
  }

  FixupProgram& program_;
  Rewrite rewrite_;
  const Btf* vmlinux_;
  u32 type_;
  Insns patch_;
};

}  // namespace

Result<void> show_accesses(FixupProgram& program) { return Shower(program).run(); }

}  // namespace bpfemu
