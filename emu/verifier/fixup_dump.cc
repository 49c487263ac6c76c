// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/fixup_dump.h"

#include <algorithm>
#include <unordered_map>

#include "emu/verifier/fixup_phases.h"

namespace bpfemu {
namespace {

// What calls lead to: distances of the kernel's functions from __bpf_call_base, numbers of the program's own.
class Callees {
 public:
  Callees(const Program& program, const VerifierWorld& world) : program_(program), world_(world) {
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

  // The function that the instruction at `index` is `distance` before.
  s32 function_at(size_t index, s32 distance) const {
    const auto& starts = program_.verified.shown.subprogram_starts;
    auto found = std::lower_bound(starts.begin(), starts.end(), static_cast<size_t>(static_cast<s64>(index) + 1 + distance));
    return static_cast<s32>(found - starts.begin());
  }

  s32 kernel_function(const Insn& call) {
    if (call.src_reg == BPF_PSEUDO_KFUNC_CALL) {
      const auto name = program_.verified.kfuncs.find(static_cast<u32>(call.imm));
      return distance(name == program_.verified.kfuncs.end() ? nullptr : name->second.c_str(), call.imm);
    }
    return call.off ? distance(map_function(call.off), call.imm) : helper(call.imm);
  }

 private:
  s32 helper(s32 id) {
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

  const Program& program_;
  const VerifierWorld& world_;
  ProgInfo info_;
  u64 base_ = 0;
  std::unordered_map<s32, s32> distances_;
};

bool is_jiffies(const Insn& insn) { return is_helper_call(insn) && insn.imm == BPF_FUNC_jiffies64; }
constexpr Insn kLoadJiffies = {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_0, .off = 0, .imm = 0};

class Dump {
 public:
  Dump(const Program& program, const VerifierWorld& world, bool raw)
      : program_(program), callees_(program, world), raw_(raw), insns_(program.verified.shown.insns) {}

  Insns run() {
    for (size_t i = 0; i < insns_.size(); ++i) {
      Insn& insn = insns_[i];
      if (insn.code == (BPF_JMP | kTailCall)) {
        insn.code = BPF_JMP | BPF_CALL;
        insn.imm = BPF_FUNC_tail_call;
      } else if (is_jiffies(insn)) {
        insn = kLoadJiffies;
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
  // A call within the program: the distance goes to off, imm is the number of the function.
  void show_call(Insn& insn, size_t index) {
    if (insn.src_reg == BPF_PSEUDO_CALL) {
      const s32 distance = insn.imm;
      insn.off = static_cast<s16>(distance);
      insn.imm = callees_.function_at(index, distance);
    } else {
      insn.imm = callees_.kernel_function(insn);
      if (insn.src_reg == 0) insn.off = 0;
    }
    if (!raw_) insn.imm = 0;
  }

  void show_constant(Insn& low, Insn& high, size_t index) {
    if (low.src_reg == BPF_PSEUDO_FUNC) {
      high.imm = callees_.function_at(index, low.imm);
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
  Callees callees_;
  bool raw_;
  Insns insns_;
};

}  // namespace

Insns dump_insns(const Program& program, const VerifierWorld& world, bool raw) {
  return Dump(program, world, raw).run();
}

Insns jit_insns(const Program& program, const VerifierWorld& world) {
  Insns insns = program.verified.shown.insns;
  Callees callees(program, world);
  for (size_t i = 0; i < insns.size(); ++i) {
    Insn& insn = insns[i];
    const bool address = insn.code == (BPF_LD | BPF_IMM | BPF_DW), call = insn.code == (BPF_JMP | BPF_CALL);
    if ((address && insn.src_reg == BPF_PSEUDO_FUNC) || (call && insn.src_reg == BPF_PSEUDO_CALL)) {
      insn.off = static_cast<s16>(callees.function_at(i, insn.imm));
      insn.imm = 1;  // what it becomes is not known yet
      if (address) insns[i + 1].imm = 1;
    } else if (is_jiffies(insn)) {
      insn = kLoadJiffies;
    } else if (call) {
      insn.imm = callees.kernel_function(insn);
      if (insn.src_reg == 0) insn.off = 0;
    }
    if (address) ++i;
  }
  return insns;
}

}  // namespace bpfemu
