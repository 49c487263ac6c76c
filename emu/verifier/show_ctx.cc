// SPDX-License-Identifier: Apache-2.0
// Context accesses as the claimed kernel rewrites them, for dumps: with the offsets that its BTF gives (kernel:
// convert_ctx_accesses, bpf_convert_ctx_access, xdp_convert_ctx_access and their like). Contexts and fields
// that are no others in the kernel (show_fields.h) are shown as the program has them.
#include <linux/bpf.h>

#include <optional>

#include "emu/isa/opcode.h"
#include "emu/verifier/fixup_calls.h"
#include "emu/verifier/fixup_phases.h"
#include "emu/verifier/show_fields.h"

namespace bpfemu {
namespace {

constexpr u8 kAx = 11;             // BPF_REG_AX
constexpr s32 kMinNapiId = 8193;   // NR_CPUS + 1
constexpr s32 kNoQueue = 0xffff;   // NO_QUEUE_MAPPING
constexpr s32 kTcShot = 2, kSkDrop = 0;

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
      const KernelField* field = kernel_field(program_.aux[i].ptr_type, type_, insn.off);
      if (field && show(*field, insn, static_cast<u32>(program_.aux[i].ctx_field_size))) rewrite_.replace(i, patch_);
    }
    return rewrite_.apply();
  }

 private:
  void add(u8 code, u8 dst, u8 src, s16 off, s32 imm) { patch_.push_back(make_insn(code, dst, src, off, imm)); }

  bool is_of_tc() const { return type_ == BPF_PROG_TYPE_SCHED_CLS || type_ == BPF_PROG_TYPE_SCHED_ACT; }

  std::optional<u32> place(const Hop& hop) const {
    if (!hop.path) return 0;
    auto outer = vmlinux_->offset_of(hop.object, hop.path);
    if (!outer) return std::nullopt;
    if (!hop.inner) return *outer;
    auto inner = vmlinux_->offset_of(hop.inner, hop.inner_path);
    return inner ? std::optional(*outer + *inner) : std::nullopt;
  }

  // A program that writes packets first makes a cloned one its own (kernel: tc_cls_act_prologue, sk_skb_prologue).
  Result<void> show_prologue() {
    const bool tc = is_of_tc() || type_ == BPF_PROG_TYPE_LWT_XMIT;
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
    if (!(load ? load_field(field, insn) : store_field(field, insn))) return false;
    finish(field.then, insn);
    if (narrow && size < field.kept) mask(insn.dst_reg, size, field_size, (offset & (field_size - 1)) * 8);
    return true;
  }

  bool load_field(const KernelField& field, const Insn& insn) {
    switch (field.then) {
      case Then::kShared: return load_shared(insn) && load_hops(field, insn, insn.dst_reg);
      case Then::kFullSocket: return load_of_full_socket(field, insn);
      case Then::kLinearEnd: return load_linear_end(insn);
      case Then::kZero: add(BPF_ALU | BPF_MOV | BPF_K, insn.dst_reg, 0, 0, 0); return true;
      default: return load_hops(field, insn, insn.src_reg);
    }
  }

  bool store_field(const KernelField& field, const Insn& insn) {
    if (field.then == Then::kQueue) add(BPF_JMP | BPF_JGE | BPF_K, insn.src_reg, 0, 1, kNoQueue);
    return is_last(field, 0) ? add_hop(field, 0, BPF_STX, insn.dst_reg, insn.src_reg, insn) : store_through(field, insn);
  }

  static bool is_last(const KernelField& field, size_t i) { return i + 1 == std::size(field.hops) || !field.hops[i + 1].object; }

  // Hop `i` for the access that `insn` is.
  bool add_hop(const KernelField& field, size_t i, u8 kind, u8 dst, u8 src, const Insn& insn) {
    const Hop& hop = field.hops[i];
    const auto at = place(hop);
    if (!at) return false;
    const u32 inside = field.indexed && is_last(field, i) ? static_cast<u32>(insn.off) - field.first : 0;
    const u8 size = hop.size ? size_code(hop.size) : BPF_SIZE(insn.code);
    add(static_cast<u8>(kind | BPF_MEM | size), dst, src, static_cast<s16>(*at + inside), 0);
    return true;
  }

  bool load_hops(const KernelField& field, const Insn& insn, u8 from) {
    // Only programs of traffic control can rely on a device.
    const bool may_lack = field.then == Then::kIfThere || (field.then == Then::kIfDevice && !is_of_tc());
    for (size_t i = 0;; ++i) {
      if (!add_hop(field, i, BPF_LDX, insn.dst_reg, from, insn)) return false;
      if (is_last(field, i)) return true;
      if (may_lack) add(BPF_JMP | BPF_JEQ | BPF_K, insn.dst_reg, 0, 1, 0);
      from = insn.dst_reg;
    }
  }

  // A register that the access does not name.
  static u8 borrowed(const Insn& insn) {
    u8 reg = BPF_REG_9;
    for (int tries = 0; tries < 2; ++tries) reg = static_cast<u8>(reg - (insn.src_reg == reg || insn.dst_reg == reg));
    return reg;
  }
  std::optional<s16> room() const {
    const Hop* hop = register_room(type_);
    const auto at = hop ? place(*hop) : std::nullopt;
    return at ? std::optional(static_cast<s16>(*at)) : std::nullopt;
  }
  void put_away(u8 context, u8 reg, s16 at) { add(BPF_STX | BPF_MEM | BPF_DW, context, reg, at, 0); }
  void take_back(u8 context, u8 reg, s16 at) { add(BPF_LDX | BPF_MEM | BPF_DW, reg, context, at, 0); }

  // A socket without all fields has none of these: they read as 0 (kernel: SOCK_OPS_GET_FIELD, SOCK_OPS_GET_SK).
  bool load_of_full_socket(const KernelField& field, const Insn& insn) {
    const auto full = vmlinux_->offset_of("bpf_sock_ops_kern", "is_fullsock");
    const auto kept = room();
    if (!full || !kept) return false;
    const bool same = insn.dst_reg == insn.src_reg;
    const u8 told = same ? borrowed(insn) : insn.dst_reg;
    const int loads = is_last(field, 0) ? 1 : 2;
    if (same) put_away(insn.src_reg, told, *kept);
    add(BPF_LDX | BPF_MEM | BPF_B, told, insn.src_reg, static_cast<s16>(*full), 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, told, 0, static_cast<s16>(same ? loads + 2 : loads), 0);
    if (same) take_back(insn.src_reg, told, *kept);
    if (!load_hops(field, insn, insn.src_reg)) return false;
    if (!same) return true;
    add(BPF_JMP | BPF_JA, 0, 0, 2, 0);
    take_back(insn.src_reg, told, *kept);
    add(BPF_ALU64 | BPF_MOV | BPF_K, insn.dst_reg, 0, 0, 0);
    return true;
  }

  // Neither register may change: a third leads to where the value goes (kernel: SOCK_ADDR_STORE_NESTED_FIELD_OFF,
  // SOCK_OPS_SET_FIELD).
  bool store_through(const KernelField& field, const Insn& insn) {
    const auto kept = room();
    if (!kept) return false;
    const u8 reg = borrowed(insn);
    put_away(insn.dst_reg, reg, *kept);
    if (field.then == Then::kFullSocket) {
      const auto full = vmlinux_->offset_of("bpf_sock_ops_kern", "is_fullsock");
      if (!full) return false;
      add(BPF_LDX | BPF_MEM | BPF_B, reg, insn.dst_reg, static_cast<s16>(*full), 0);
      add(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, 2, 0);
    }
    u8 from = insn.dst_reg;
    size_t i = 0;
    for (; !is_last(field, i); ++i) {
      if (!add_hop(field, i, BPF_LDX, reg, from, insn)) return false;
      from = reg;
    }
    if (!add_hop(field, i, BPF_STX, reg, insn.src_reg, insn)) return false;
    take_back(insn.dst_reg, reg, *kept);
    return true;
  }

  // data + len - data_len (kernel: bpf_convert_data_end_access).
  bool load_linear_end(const Insn& insn) {
    const auto data = vmlinux_->offset_of("sk_buff", "data"), len = vmlinux_->offset_of("sk_buff", "len"),
               beyond = vmlinux_->offset_of("sk_buff", "data_len");
    const auto kept = room();
    if (!data || !len || !beyond || !kept) return false;
    const bool same = insn.dst_reg == insn.src_reg;
    const u8 reg = same ? borrowed(insn) : insn.dst_reg;
    if (same) put_away(insn.src_reg, reg, *kept);
    add(BPF_LDX | BPF_MEM | BPF_DW, reg, insn.src_reg, static_cast<s16>(*data), 0);
    add(BPF_LDX | BPF_MEM | BPF_W, kAx, insn.src_reg, static_cast<s16>(*len), 0);
    add(BPF_ALU64 | BPF_ADD | BPF_X, reg, kAx, 0, 0);
    add(BPF_LDX | BPF_MEM | BPF_W, kAx, insn.src_reg, static_cast<s16>(*beyond), 0);
    add(BPF_ALU64 | BPF_SUB | BPF_X, reg, kAx, 0, 0);
    if (!same) return true;
    add(BPF_ALU64 | BPF_MOV | BPF_X, kAx, insn.src_reg, 0, 0);
    add(BPF_ALU64 | BPF_MOV | BPF_X, insn.dst_reg, reg, 0, 0);
    take_back(kAx, reg, *kept);
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
