// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/fixup_calls.h"

#include <algorithm>
#include <span>

#include "emu/base/bytes.h"
#include "emu/runtime/maps/map.h"
#include "emu/verifier/fixup_phases.h"

namespace bpfemu {
namespace {

constexpr auto make = make_insn;
constexpr Insn move(u8 dst, u8 src) {
  return make(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}
constexpr Insn move32(u8 dst, s32 value) {
  return make(BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, value);
}
constexpr Insn load(u8 dst, u8 src, s16 off) {
  return make(BPF_LDX | BPF_MEM | BPF_DW, dst, src, off, 0);
}
constexpr Insn store(u8 dst, s16 off, u8 src) {
  return make(BPF_STX | BPF_MEM | BPF_DW, dst, src, off, 0);
}
constexpr Insn jump(s16 off) {
  return make(BPF_JMP | BPF_JA, 0, 0, off, 0);
}

// bpf_loop as a loop over R6, R7, R8, which are kept at the bottom of the stack meanwhile.
constexpr int kLoopSlots = 3;

auto loop_patch(s32 stack_base, u32 callback) {
  constexpr s32 kMaxLoops = 8 * 1024 * 1024;
  constexpr u8 kMax = BPF_REG_6, kCount = BPF_REG_7, kContext = BPF_REG_8;
  auto slot = [&](int i) { return static_cast<s16>(stack_base + i * 8); };
  return std::array{
      make(BPF_JMP | BPF_JLE | BPF_K, BPF_REG_1, 0, 2, kMaxLoops),
      move32(BPF_REG_0, -E2BIG),
      jump(16),
      store(BPF_REG_10, slot(0), kMax),
      store(BPF_REG_10, slot(1), kCount),
      store(BPF_REG_10, slot(2), kContext),
      move(kMax, BPF_REG_1),
      move32(kCount, 0),
      move(kContext, BPF_REG_3),
      make(BPF_JMP | BPF_JGE | BPF_X, kCount, kMax, 5, 0),
      move(BPF_REG_1, kCount),
      move(BPF_REG_2, kContext),
      make(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, static_cast<s32>(callback)),
      make(BPF_ALU64 | BPF_ADD | BPF_K, kCount, 0, 0, 1),
      make(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, -6, 0),
      move(BPF_REG_0, kCount),
      load(kMax, BPF_REG_10, slot(0)),
      load(kCount, BPF_REG_10, slot(1)),
      load(kContext, BPF_REG_10, slot(2)),
  };
}

constexpr s32 kMostDirectTailCalls = 1024;  // kernel: poke_tab_max
constexpr s32 kGfpKernel = 0xcc0, kGfpAtomic = 0xa20;

}  // namespace

bool is_inlined(const ProgInfo& program, s32 helper) {
  switch (helper) {
    case BPF_FUNC_jiffies64: return true;
    case BPF_FUNC_get_func_arg:
    case BPF_FUNC_get_func_ret:
    case BPF_FUNC_get_func_arg_cnt:
    case BPF_FUNC_get_func_ip: return program.type == BPF_PROG_TYPE_TRACING;
    default: return false;
  }
}

bool guard_division(Rewrite& rewrite, u32 index, const Insn& insn) {
  u8 op = BPF_OP(insn.code);
  u8 kind = BPF_CLASS(insn.code);
  if ((kind != BPF_ALU && kind != BPF_ALU64) || BPF_SRC(insn.code) != BPF_X || (op != BPF_DIV && op != BPF_MOD)) {
    return false;
  }
  bool wide = kind == BPF_ALU64;
  u8 compare = wide ? BPF_JMP : BPF_JMP32;
  if (op == BPF_DIV) {
    rewrite.replace(index, std::array{
                               make(static_cast<u8>(compare | BPF_JNE | BPF_K), insn.src_reg, 0, 2, 0),
                               make(BPF_ALU | BPF_XOR | BPF_X, insn.dst_reg, insn.dst_reg, 0, 0),
                               jump(1),
                               insn,
                           });
    return true;
  }
  std::array patch{
      make(static_cast<u8>(compare | BPF_JEQ | BPF_K), insn.src_reg, 0, static_cast<s16>(wide ? 1 : 2), 0),
      insn,
      jump(1),
      make(BPF_ALU | BPF_MOV | BPF_X, insn.dst_reg, insn.dst_reg, 0, 0),
  };
  rewrite.replace(index, std::span(patch).first(wide ? 2 : 4));
  return true;
}

Result<void> prepare_tail_call(FixupProgram& program, Rewrite& rewrite, u32 index) {
  Insn& insn = program.insns[index];
  const InsnAux& aux = program.aux[index];
  program.info.max_pkt_offset = 0xffff;  // kernel: MAX_PACKET_OFF
  insn.imm = 0;
  insn.code = BPF_JMP | kTailCall;
  if (program.privileged && aux.map && !aux.map_poisoned && !aux.map_key_poisoned && !aux.map_unpriv) {
    if (program.direct_tail_calls == kMostDirectTailCalls) {
      program.log.print("adding tail call poke descriptor failed\n");
      return fail(ENOSPC);
    }
    insn.imm = ++program.direct_tail_calls;
    return {};
  }
  if (!aux.map_unpriv) return {};
  if (aux.map_poisoned || !aux.map) {
    program.log.print("tail_call abusing map_ptr\n");
    return fail(EINVAL);
  }
  u32 entries = aux.map->map().max_entries;
  u64 mask = round_up_power_of_two(entries) - 1;
  rewrite.replace(index, std::array{
                             make(BPF_JMP | BPF_JGE | BPF_K, BPF_REG_3, 0, 2, static_cast<s32>(entries)),
                             make(BPF_ALU | BPF_AND | BPF_K, BPF_REG_3, 0, 0, static_cast<s32>(mask)),
                             Insn{insn},
                         });
  return {};
}

bool is_storage_get(s32 helper) {
  return helper == BPF_FUNC_task_storage_get || helper == BPF_FUNC_sk_storage_get ||
         helper == BPF_FUNC_inode_storage_get;
}

std::array<Insn, 2> storage_patch(const ProgInfo& program, const Insn& call) {
  return {make(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_5, 0, 0, program.sleepable ? kGfpKernel : kGfpAtomic), call};
}

std::array<Insn, 3> jiffies_patch(const VerifierWorld& world, const Insn& call) {
  u64 address = world.ksym ? world.ksym("jiffies") : 0;
  return {make(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_0, 0, 0, static_cast<s32>(address)),
          make(0, 0, 0, 0, static_cast<s32>(address >> 32)), call};
}

Result<void> inline_loops(FixupProgram& program) {
  Rewrite rewrite(program);
  for (size_t function = 0; function + 1 < program.subprogs.size(); ++function) {
    Subprog& subprog = program.subprogs[function];
    u16 depth = static_cast<u16>(round_up(subprog.stack_depth, 8) + kLoopSlots * 8);
    bool inlined = false;
    for (u32 i = subprog.start; i < program.subprogs[function + 1].start; ++i) {
      const InsnAux& aux = program.aux[i];
      if (!is_helper_call(program.insns[i]) || program.insns[i].imm != BPF_FUNC_loop || !aux.loop_fit_for_inline) {
        continue;
      }
      rewrite.replace(i, loop_patch(-depth, program.subprogs[aux.loop_subprog].start));
      inlined = true;
    }
    if (inlined) subprog.stack_depth = depth;
  }
  return rewrite.apply();
}

Result<void> prepare_calls(FixupProgram& program) {
  Rewrite rewrite(program);
  for (u32 i = 0; i < program.insns.size(); ++i) {
    const Insn insn = program.insns[i];
    if (guard_division(rewrite, i, insn) || !is_helper_call(insn)) continue;
    if (insn.imm == BPF_FUNC_tail_call) {
      TRY(prepare_tail_call(program, rewrite, i));
    } else if (insn.imm == BPF_FUNC_jiffies64) {
      rewrite.replace(i, jiffies_patch(*program.info.world, insn));
    } else if (is_storage_get(insn.imm)) {
      rewrite.replace(i, storage_patch(program.info, insn));
    }
  }
  return rewrite.apply();
}

}  // namespace bpfemu
