// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/fixup_dump.h"

#include <algorithm>
#include <unordered_map>

#include "emu/verifier/fixup_phases.h"

namespace bpfemu {
namespace {

class Dump {
 public:
  Dump(const Program& program, const VerifierWorld& world, bool raw)
      : program_(program), world_(world), raw_(raw), insns_(program.verified.shown.insns) {
    info_.type = program.type;
    info_.expected_attach_type = program.expected_attach_type;
    info_.world = &world;
    info_.attach_btf = program.attach_btf;
    info_.attach_btf_id = program.attach_btf_id;
    info_.dst_prog = program.attach_program;
    if (program.attach_program) info_.saved_dst_prog_type = program.attach_program->type;
    if (program.attach_btf && program.attach_btf_id) {
      const char* name = program.attach_btf->type_name(program.attach_btf_id);
      if (name) info_.attach_func_name = name;
    }
    base_ = world.ksym ? world.ksym("__bpf_call_base") : 0;
  }

  Insns run() {
    for (size_t i = 0; i < insns_.size(); ++i) {
      Insn& insn = insns_[i];
      if (insn.code == (BPF_JMP | kTailCall)) {
        insn.code = BPF_JMP | BPF_CALL;
        insn.imm = raw_ ? BPF_FUNC_tail_call : 0;
      } else if (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0 && insn.imm == BPF_FUNC_jiffies64) {
        insn = {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_0, .off = 0, .imm = 0};
      } else if (insn.code == (BPF_JMP | BPF_CALL)) {
        show_call(insn, i);
      } else if (BPF_CLASS(insn.code) == BPF_LDX && BPF_MODE(insn.code) == kProbeMem) {
        insn.code = static_cast<u8>(BPF_LDX | BPF_MEM | BPF_SIZE(insn.code));
      } else if (insn.code == (BPF_LD | BPF_IMM | BPF_DW)) {
        show_constant(insn, insns_[i + 1], i);
        ++i;
      }
    }
    return std::move(insns_);
  }

 private:
  s32 function_at(size_t start) const {
    const auto& starts = program_.verified.shown.subprogram_starts;
    auto found = std::lower_bound(starts.begin(), starts.end(), start);
    return static_cast<s32>(found - starts.begin());
  }

  // A call within the program: the distance goes to off, imm is the number of the function.
  void show_call(Insn& insn, size_t index) {
    if (insn.src_reg == BPF_PSEUDO_CALL) {
      s32 distance = insn.imm;
      insn.off = static_cast<s16>(distance);
      insn.imm = function_at(static_cast<size_t>(static_cast<s64>(index) + 1 + distance));
    } else if (insn.src_reg == 0) {
      insn.imm = insn.off ? distance(map_function(insn.off), insn.imm) : helper_distance(insn.imm);
      insn.off = 0;
    }
    if (!raw_) insn.imm = 0;
  }

  s32 helper_distance(s32 id) {
    auto [known, fresh] = distances_.try_emplace(id, 0);
    if (!fresh) return known->second;
    const ProgTypeOps* ops = prog_type_ops(info_.resolved_type());
    const HelperProto* proto = ops && ops->helper ? ops->helper(static_cast<u32>(id), info_) : nullptr;
    known->second = distance(proto ? proto->symbol : nullptr, id);
    return known->second;
  }

  // A function that the claimed kernel's symbols do not name is shown by its helper's number.
  s32 distance(const char* symbol, s32 id) const {
    u64 address = symbol && world_.ksym ? world_.ksym(symbol) : 0;
    return address && base_ ? static_cast<s32>(address - base_) : id;
  }

  void show_constant(Insn& low, Insn& high, size_t index) {
    if (low.src_reg == BPF_PSEUDO_FUNC) {
      high.imm = function_at(static_cast<size_t>(static_cast<s64>(index) + 1 + low.imm));
      return;
    }
    u64 value = u64{static_cast<u32>(high.imm)} << 32 | static_cast<u32>(low.imm);
    for (const auto& map : program_.verified.used_maps) {
      u64 start = reinterpret_cast<u64>(&map->map()), off = 0;
      if (value == start) {
        low.src_reg = BPF_PSEUDO_MAP_FD;
      } else if (direct_offset(*map, value, off)) {
        low.src_reg = BPF_PSEUDO_MAP_VALUE;
      } else {
        continue;
      }
      low.imm = static_cast<s32>(map->id());
      high.imm = static_cast<s32>(off);
      return;
    }
  }

  static bool direct_offset(const MapObject& map, u64 address, u64& off) {
    u64 values = 0;
    if (!map.ops().direct_value || map.ops().direct_value(map.map(), 0, &values) != 0) return false;
    off = address - values;
    return address >= values && off < u64{map.map().value_size} * map.map().max_entries;
  }

  const Program& program_;
  const VerifierWorld& world_;
  bool raw_;
  Insns insns_;
  ProgInfo info_;
  u64 base_ = 0;
  std::unordered_map<s32, s32> distances_;
};

}  // namespace

Insns dump_insns(const Program& program, const VerifierWorld& world, bool raw) {
  return Dump(program, world, raw).run();
}

}  // namespace bpfemu
