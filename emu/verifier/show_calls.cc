// SPDX-License-Identifier: Apache-2.0
// Calls and packet loads as the claimed kernel rewrites them, for dumps (kernel: do_misc_fixups, map_gen_lookup,
// gen_ld_abs).
#include <algorithm>
#include <bit>
#include <span>

#include "emu/base/bytes.h"
#include "emu/runtime/maps/map.h"
#include "emu/verifier/fixup_calls.h"
#include "emu/verifier/fixup_phases.h"
#include "emu/verifier/show_maps.h"

namespace bpfemu {
namespace {

constexpr auto make = make_insn;
constexpr u8 R0 = BPF_REG_0, R1 = BPF_REG_1, R2 = BPF_REG_2, R3 = BPF_REG_3;
constexpr u8 kLoadWide = BPF_LDX | BPF_MEM | BPF_DW, kMove = BPF_ALU64 | BPF_MOV;
constexpr s32 kMaxFuncArgs = 6;

Insn call(OtherCall function) { return make(BPF_JMP | BPF_CALL, 0, 0, map_function_number(function), 0); }

class Shower {
 public:
  explicit Shower(FixupProgram& program)
      : program_(program), rewrite_(program), vmlinux_(program.info.world ? program.info.world->vmlinux.get() : nullptr) {}

  Result<void> run() {
    for (u32 i = 0; i < program_.insns.size(); ++i) {
      const Insn insn = program_.insns[i];
      patch_.clear();
      if (insn.code == (BPF_LD | BPF_IMM | BPF_DW)) {
        ++i;
      } else if (BPF_CLASS(insn.code) == BPF_LD) {
        load_packet(insn);
      } else if (!guard_division(rewrite_, i, insn) && is_helper_call(insn)) {
        TRY(show_call(i, insn));
      }
      if (!patch_.empty()) rewrite_.replace(i, patch_);
    }
    return rewrite_.apply();
  }

 private:
  u32 offset(const char* object, const char* path) const {
    return vmlinux_ ? vmlinux_->offset_of(object, path).value_or(0) : 0;
  }

  Result<void> show_call(u32 index, const Insn& insn) {
    if (insn.imm == BPF_FUNC_tail_call) return prepare_tail_call(program_, rewrite_, index);
    if (insn.imm == BPF_FUNC_jiffies64) {
      add(jiffies_patch(*program_.info.world, insn));
    } else if (is_storage_get(insn.imm)) {
      add(storage_patch(program_.info, insn));
    } else if (insn.imm == BPF_FUNC_timer_set_callback) {
      // The third argument is the address of the program's bpf_prog_aux, which has no counterpart.
      add(std::array{make(BPF_LD | BPF_IMM | BPF_DW, R3, 0, 0, 0), Insn{}, insn});
    } else if (program_.info.type == BPF_PROG_TYPE_TRACING) {
      if (!trace_context(insn)) map_helper(index, insn);
    } else {
      map_helper(index, insn);
    }
    return {};
  }

  void map_helper(u32 index, const Insn& insn) {
    const InsnAux& aux = program_.aux[index];
    auto which = map_call(insn.imm);
    if (!which || !aux.map || aux.map_poisoned) return;
    const Map& map = aux.map->map();
    if (*which == MapCall::kLookup && look_up(map)) return;
    program_.insns[index].off = map_function_number(map.type, *which);
  }

  // False: not inlined.
  bool look_up(const Map& map) {
    switch (map.type) {
      case BPF_MAP_TYPE_ARRAY:
        if (map.flags & BPF_F_INNER_MAP) return false;
        array_element(map, 3);
        add(std::array{make(BPF_JMP | BPF_JA, 0, 0, 1, 0), make(kMove | BPF_K, R0, 0, 0, 0)});
        return true;
      case BPF_MAP_TYPE_ARRAY_OF_MAPS:
        array_element(map, 5);
        add(std::array{make(kLoadWide, R0, R0, 0, 0), make(BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 1, 0),
                       make(BPF_JMP | BPF_JA, 0, 0, 1, 0), make(kMove | BPF_K, R0, 0, 0, 0)});
        return true;
      case BPF_MAP_TYPE_XSKMAP:
        add(std::array{make(BPF_LDX | BPF_MEM | BPF_W, R0, R2, 0, 0),
                       make(BPF_JMP32 | BPF_JGE | BPF_K, R0, 0, 5, static_cast<s32>(map.max_entries)),
                       make(BPF_ALU64 | BPF_LSH | BPF_K, R0, 0, 0, 3),
                       make(BPF_ALU64 | BPF_ADD | BPF_K, R1, 0, 0, static_cast<s32>(offset("xsk_map", "xsk_map"))),
                       make(BPF_ALU64 | BPF_ADD | BPF_X, R0, R1, 0, 0), make(kLoadWide, R0, R0, 0, 0),
                       make(BPF_JMP | BPF_JA, 0, 0, 1, 0), make(kMove | BPF_K, R0, 0, 0, 0)});
        return true;
      case BPF_MAP_TYPE_HASH:
        hash_element(map, 1);
        return true;
      case BPF_MAP_TYPE_HASH_OF_MAPS:
        hash_element(map, 2);
        patch_.push_back(make(kLoadWide, R0, R0, 0, 0));
        return true;
      case BPF_MAP_TYPE_LRU_HASH: lru_element(map); return true;
      default: return false;
    }
  }

  // R0 = the element's address, or `beyond` instructions further for an index out of range.
  void array_element(const Map& map, s16 beyond) {
    bool holds_maps = map.type == BPF_MAP_TYPE_ARRAY_OF_MAPS;
    u32 size = holds_maps ? 8 : static_cast<u32>(round_up(map.value_size, 8));
    patch_.push_back(make(BPF_ALU64 | BPF_ADD | BPF_K, R1, 0, 0, static_cast<s32>(offset("bpf_array", "value"))));
    patch_.push_back(make(BPF_LDX | BPF_MEM | BPF_W, R0, R2, 0, 0));
    patch_.push_back(make(BPF_JMP | BPF_JGE | BPF_K, R0, 0, program_.bypass_spec_v1 ? beyond : static_cast<s16>(beyond + 1),
                          static_cast<s32>(map.max_entries)));
    if (!program_.bypass_spec_v1) {
      s32 mask = static_cast<s32>(round_up_power_of_two(map.max_entries) - 1);
      patch_.push_back(make(BPF_ALU | BPF_AND | BPF_K, R0, 0, 0, mask));
    }
    if (std::has_single_bit(size)) {
      patch_.push_back(make(BPF_ALU64 | BPF_LSH | BPF_K, R0, 0, 0, std::countr_zero(size)));
    } else {
      patch_.push_back(make(BPF_ALU64 | BPF_MUL | BPF_K, R0, 0, 0, static_cast<s32>(size)));
    }
    patch_.push_back(make(BPF_ALU64 | BPF_ADD | BPF_X, R0, R1, 0, 0));
  }

  s32 value_in_element(const Map& map) const {
    return static_cast<s32>(offset("htab_elem", "key") + round_up(map.key_size, 8));
  }

  void hash_element(const Map& map, s16 beyond) {
    add(std::array{call(OtherCall::kHashLookup), make(BPF_JMP | BPF_JEQ | BPF_K, R0, 0, beyond, 0),
                   make(BPF_ALU64 | BPF_ADD | BPF_K, R0, 0, 0, value_in_element(map))});
  }

  void lru_element(const Map& map) {
    s16 mark = static_cast<s16>(offset("htab_elem", "lru_node.ref"));
    add(std::array{call(OtherCall::kHashLookup), make(BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 4, 0),
                   make(BPF_LDX | BPF_MEM | BPF_B, R1, R0, mark, 0), make(BPF_JMP | BPF_JNE | BPF_K, R1, 0, 1, 0),
                   make(BPF_ST | BPF_MEM | BPF_B, R0, 0, mark, 1),
                   make(BPF_ALU64 | BPF_ADD | BPF_K, R0, 0, 0, value_in_element(map))});
  }

  // The context of fentry and fexit programs has the number of arguments before it, and the function before that.
  bool trace_context(const Insn& insn) {
    switch (insn.imm) {
      case BPF_FUNC_get_func_arg:
        add(std::array{make(kLoadWide, R0, R1, -8, 0), make(BPF_JMP32 | BPF_JGE | BPF_X, R2, R0, kMaxFuncArgs, 0),
                       make(BPF_ALU64 | BPF_LSH | BPF_K, R2, 0, 0, 3), make(BPF_ALU64 | BPF_ADD | BPF_X, R2, R1, 0, 0),
                       make(kLoadWide, R0, R2, 0, 0), make(BPF_STX | BPF_MEM | BPF_DW, R3, R0, 0, 0),
                       make(kMove | BPF_K, R0, 0, 0, 0), make(BPF_JMP | BPF_JA, 0, 0, 1, 0),
                       make(kMove | BPF_K, R0, 0, 0, -EINVAL)});
        return true;
      case BPF_FUNC_get_func_ret:
        if (program_.info.expected_attach_type != BPF_TRACE_FEXIT &&
            program_.info.expected_attach_type != BPF_MODIFY_RETURN) {
          patch_.push_back(make(kMove | BPF_K, R0, 0, 0, -EOPNOTSUPP));
          return true;
        }
        add(std::array{make(kLoadWide, R0, R1, -8, 0), make(BPF_ALU64 | BPF_LSH | BPF_K, R0, 0, 0, 3),
                       make(BPF_ALU64 | BPF_ADD | BPF_X, R0, R1, 0, 0), make(kLoadWide, R3, R0, 0, 0),
                       make(BPF_STX | BPF_MEM | BPF_DW, R2, R3, 0, 0), make(kMove | BPF_K, R0, 0, 0, 0)});
        return true;
      case BPF_FUNC_get_func_arg_cnt: patch_.push_back(make(kLoadWide, R0, R1, -8, 0)); return true;
      case BPF_FUNC_get_func_ip: patch_.push_back(make(kLoadWide, R0, R1, -16, 0)); return true;
      default: return false;
    }
  }

  void load_packet(const Insn& insn) {
    if (BPF_MODE(insn.code) == BPF_ABS) {
      patch_.push_back(make(kMove | BPF_K, R2, 0, 0, insn.imm));
    } else {
      patch_.push_back(make(kMove | BPF_X, R2, insn.src_reg, 0, 0));
      if (insn.imm) patch_.push_back(make(BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, insn.imm));
    }
    OtherCall load = BPF_SIZE(insn.code) == BPF_B   ? OtherCall::kLoadByte
                     : BPF_SIZE(insn.code) == BPF_H ? OtherCall::kLoadHalf
                                                    : OtherCall::kLoadWord;
    add(std::array{make(kMove | BPF_X, R1, BPF_REG_6, 0, 0), call(load), make(BPF_JMP | BPF_JSGE | BPF_K, R0, 0, 2, 0),
                   make(BPF_ALU | BPF_XOR | BPF_X, R0, R0, 0, 0), make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)});
  }

  template <size_t N>
  void add(const std::array<Insn, N>& insns) {
    patch_.insert(patch_.end(), insns.begin(), insns.end());
  }

  FixupProgram& program_;
  Rewrite rewrite_;
  const Btf* vmlinux_;
  Insns patch_;
};

}  // namespace

Result<void> show_calls(FixupProgram& program) { return Shower(program).run(); }

}  // namespace bpfemu
