// SPDX-License-Identifier: Apache-2.0
// Accesses to uapi contexts become accesses to the objects behind them (emu/runtime/contexts.h). A context without a table
// here is at run time what the program sees: registers, tracepoint records, struct bpf_perf_event_data, and the
// structs of cgroup, socket message and reuseport programs.
#include <linux/bpf.h>

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "emu/isa/opcode.h"
#include "emu/runtime/contexts.h"
#include "emu/runtime/packet_programs.h"
#include "emu/verifier/ctx_fields.h"
#include "emu/verifier/fixup_phases.h"
#include "emu/verifier/fixup_rewrite.h"

namespace bpfemu {
namespace {

// A field as the program sees it, bytes [first, end), and where it is. Fields of the same size are read in part at the
// same distance, except for numbers that the kernel keeps in fewer bytes: it reads them whole wherever in the field an
// access of at least as many bytes starts. Pointers are wider than the program's view of them.
struct Place {
  u32 first, end;
  u32 at;
  u32 read_size = 0;
  u32 kept = 0;  // bytes, when fewer than the field's
  bool of_socket = false;  // `at` is in the RunSock that the context points to
};

#define FIELD(context, name, object, member) CTX_FIELD(context, name), static_cast<u32>(offsetof(object, member))
#define SKB(name) FIELD(__sk_buff, name, RunSkb, name)
#define SKB_SOCKET(name, member, kept) FIELD(__sk_buff, name, RunSock, member), 0, kept, true

// __sk_buff has the remote port in the upper half of a word. The two bytes before it in a socket are 0, being the upper
// half of the local port.
constexpr u32 kRemotePort = offsetof(RunSock, dst_port) - 2;
static_assert(kRemotePort == offsetof(RunSock, src_port) + 2);

constexpr Place kSkb[] = {
    {SKB(len)},
    {SKB(pkt_type), 0, 1},
    {SKB(mark)},
    {SKB(queue_mapping), 0, 2},
    {SKB(protocol), 0, 2},
    {SKB(vlan_present), 0, 1},
    {SKB(vlan_tci), 0, 2},
    {SKB(vlan_proto), 0, 2},
    {SKB(priority)},
    {SKB(ingress_ifindex)},
    {SKB(ifindex)},
    {SKB(tc_index), 0, 2},
    {SKB(cb)},
    {SKB(hash)},
    {SKB(tc_classid), 0, 2},
    {SKB(data), 8},
    {SKB(data_end), 8},
    {SKB(napi_id)},
    {SKB_SOCKET(family, family, 2)},
    {SKB_SOCKET(remote_ip4, dst_ip4, 0)},
    {SKB_SOCKET(local_ip4, src_ip4, 0)},
    {SKB_SOCKET(remote_ip6, dst_ip6, 0)},
    {SKB_SOCKET(local_ip6, src_ip6, 0)},
    {CTX_FIELD(__sk_buff, remote_port), kRemotePort, 0, 0, true},
    {SKB_SOCKET(local_port, src_port, 2)},
    {SKB(data_meta), 8},
    {SKB(flow_keys)},
    {SKB(tstamp)},
    {SKB(wire_len)},
    {SKB(gso_segs), 0, 2},
    {SKB(sk)},
    {SKB(gso_size), 0, 2},
    {SKB(tstamp_type)},
    {SKB(hwtstamp)},
};

#define XDP(name) FIELD(xdp_md, name, RunXdp, name)
constexpr Place kXdp[] = {
    {XDP(data), 8},         {XDP(data_end), 8},    {XDP(data_meta), 8},
    {XDP(ingress_ifindex)}, {XDP(rx_queue_index)}, {XDP(egress_ifindex)},
};

#define LOOKUP(name) FIELD(bpf_sk_lookup, name, RunSkLookup, name)
constexpr u32 kLookupPort = offsetof(bpf_sk_lookup, remote_port);
constexpr Place kSkLookup[] = {
    {FIELD(bpf_sk_lookup, sk, RunSkLookup, selected)},
    {LOOKUP(family), 0, 2},
    {LOOKUP(protocol), 0, 2},
    {LOOKUP(remote_ip4)},
    {LOOKUP(remote_ip6)},
    {kLookupPort, kLookupPort + 4, offsetof(RunSkLookup, remote_port)},
    {LOOKUP(local_ip4)},
    {LOOKUP(local_ip6)},
    {LOOKUP(local_port), 0, 2},
    {LOOKUP(ingress_ifindex)},
};

// What programs see of sockets lies together.
constexpr s16 kSock = offsetof(RunSock, bound_dev_if);
static_assert(offsetof(RunSock, priority) == kSock + offsetof(bpf_sock, priority));
static_assert(offsetof(RunSock, src_port) == kSock + offsetof(bpf_sock, src_port));
static_assert(offsetof(RunSock, rx_queue_mapping) == kSock + offsetof(bpf_sock, rx_queue_mapping));

// What a socket of the host's does not say of itself.
struct UntoldField {
  u32 first, end;
  std::string_view name;
};
#define UNTOLD(context, name) {CTX_FIELD(context, name), #context "." #name}
constexpr UntoldField kUntoldOps[] = {
    UNTOLD(bpf_sock_ops, rcv_nxt),        UNTOLD(bpf_sock_ops, snd_nxt),          UNTOLD(bpf_sock_ops, snd_una),
    UNTOLD(bpf_sock_ops, ecn_flags),      UNTOLD(bpf_sock_ops, rate_delivered),   UNTOLD(bpf_sock_ops, rate_interval_us),
    UNTOLD(bpf_sock_ops, sk_txhash),      UNTOLD(bpf_sock_ops, skb_data),         UNTOLD(bpf_sock_ops, skb_len),
    UNTOLD(bpf_sock_ops, skb_tcp_flags),
};
constexpr UntoldField kUntoldTcp[] = {
    UNTOLD(bpf_tcp_sock, rcv_nxt),   UNTOLD(bpf_tcp_sock, snd_nxt),        UNTOLD(bpf_tcp_sock, snd_una),
    UNTOLD(bpf_tcp_sock, ecn_flags), UNTOLD(bpf_tcp_sock, rate_delivered), UNTOLD(bpf_tcp_sock, rate_interval_us),
};
#undef UNTOLD

std::span<const Place> places(u32 prog_type) {
  if (is_packet_program(prog_type)) return kSkb;
  switch (prog_type) {
    case BPF_PROG_TYPE_FLOW_DISSECTOR: return kSkb;
    case BPF_PROG_TYPE_XDP: return kXdp;
    case BPF_PROG_TYPE_SK_LOOKUP: return kSkLookup;
    default: return {};
  }
}

u8 size_code(u32 bytes) {
  return bytes == 1 ? BPF_B : bytes == 2 ? BPF_H : bytes == 4 ? BPF_W : BPF_DW;
}

void set_size(Insn& insn, u32 bytes) {
  if (bytes != 0) insn.code = static_cast<u8>((insn.code & ~BPF_DW & ~BPF_H & ~BPF_B) | size_code(bytes));
}

bool is_plain_load(const Insn& insn) {
  return BPF_CLASS(insn.code) == BPF_LDX && BPF_MODE(insn.code) == BPF_MEM;
}
bool is_plain_store(const Insn& insn) {
  return (BPF_CLASS(insn.code) == BPF_STX || BPF_CLASS(insn.code) == BPF_ST) && BPF_MODE(insn.code) == BPF_MEM;
}

class Converter {
 public:
  explicit Converter(FixupProgram& program)
      : program_(program), rewrite_(program), table_(places(program.info.resolved_type())) {}

  Result<void> run() {
    for (u32 i = 0; i < program_.insns.size(); ++i) {
      bool load = is_plain_load(program_.insns[i]);
      if (!load && !is_plain_store(program_.insns[i])) continue;
      u32 type = program_.aux[i].ptr_type;
      switch (base_type(type)) {
        case kPtrToCtx: TRY(convert_context(i, load)); break;
        case kPtrToSocket:
        case kPtrToSockCommon: program_.insns[i].off += kSock; break;
        case kPtrToTcpSock:
          if (is_upper_half(program_.insns[i].off)) return refuse();
          note_untold(kUntoldTcp, program_.insns[i]);
          program_.insns[i].off += static_cast<s16>(offsetof(RunSock, tcp));
          break;
        case kPtrToBtfId:
          load ? make_safe(program_.insns[i]) : guard_store(i);
          break;
        case kPtrToMem:  // a variable of the kernel
          if (load && (type & kRdonly)) make_safe(program_.insns[i]);
          break;
        default: break;
      }
    }
    return rewrite_.apply();
  }

 private:
  // What the access rules allow and nothing is behind.
  Result<void> refuse() {
    program_.log.print("bpf verifier is misconfigured\n");
    return fail(EINVAL);
  }

  // That of a counter passes for a word of its own, and is none (kernel: bpf_tcp_sock_convert_ctx_access).
  static bool is_upper_half(s16 off) {
    return off == offsetof(bpf_tcp_sock, bytes_received) + 4 || off == offsetof(bpf_tcp_sock, bytes_acked) + 4;
  }

  static void make_safe(Insn& insn) { insn.code = static_cast<u8>(BPF_LDX | kProbeMem | BPF_SIZE(insn.code)); }

  // An argument that the verifier takes for a kernel object may be NULL: a kernel dies of the store.
  void guard_store(u32 index) {
    const Insn store = program_.insns[index];
    const Insn skip{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = store.dst_reg, .src_reg = 0, .off = 1, .imm = 0};
    rewrite_.replace(index, std::array{skip, store});
  }

  void note_untold(std::span<const UntoldField> fields, const Insn& insn) {
    if (const UntoldField* field = field_at(fields, insn.off)) program_.info.untold_fields.insert(field->name);
  }

  Result<void> convert_context(u32 index, bool load) {
    if (load && program_.info.resolved_type() == BPF_PROG_TYPE_SOCK_OPS) note_untold(kUntoldOps, program_.insns[index]);
    if (table_.empty()) return {};
    Insn insn = program_.insns[index];
    const Place* place = field_at(table_, insn.off);
    if (!place) return refuse();
    bool whole = place->kept != 0 && access_size(insn.code) >= place->kept;
    u32 within = whole ? 0 : static_cast<u32>(insn.off) - place->first;
    insn.off = static_cast<s16>(place->at + within);
    if (place->at == offsetof(RunSkb, data_end) && program_.info.resolved_type() == BPF_PROG_TYPE_CGROUP_SKB) {
      insn.off = offsetof(RunSkb, cgroup_end);
    }
    set_size(insn, load ? place->read_size : place->kept);
    if (!place->of_socket) {
      program_.insns[index] = insn;
      return {};
    }
    // There may be no socket: then its fields read as 0.
    Insn socket = insn;
    socket.code = BPF_LDX | BPF_MEM | BPF_DW;
    socket.off = offsetof(RunSkb, sk);
    insn.src_reg = insn.dst_reg;
    make_safe(insn);
    rewrite_.replace(index, std::array{socket, insn});
    return {};
  }

  FixupProgram& program_;
  Rewrite rewrite_;
  std::span<const Place> table_;
};

}  // namespace

Result<void> convert_accesses(FixupProgram& program) {
  return Converter(program).run();
}

}  // namespace bpfemu
