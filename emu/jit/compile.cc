// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "emu/jit/emitter.h"

namespace bpfemu {
namespace {

// Most bytes of code that one instruction of a form becomes.
namespace most {
constexpr u32 alu = 7, mul = 7, div = 48, shift = 13, mov = 10, neg = 3, to_le = 4, to_be = 8, jump = 36, jump_if = 44,
              call_helper = 40, call_kernel = 15, call_subprogram = 26, exit = 5, load_imm64 = 10, load_function = 7,
              load_packet = 48, load = 8, load_probe = 56, store_imm = 12, store_reg = 8, atomic = 9, atomic_fetch = 38,
              exchange = 9, compare_exchange = 12, tail_call = 60, no_speculation = 0;
}

// clang-format off
constexpr u8 kMost[] = {
#define OPCODE(name, code, selector, selected, operation, form, text) most::form,
#include "emu/abi/opcodes.inc"
#undef OPCODE
};
// clang-format on

constexpr u32 kMostOfFrames = 64;  // prologue, epilogue and callback entry of a subprogram
constexpr u32 kMostOfHooks = 224;  // what stands in front of a function that others hang on
constexpr u32 kPassesUntilFrozen = 16;

}  // namespace

size_t jit_size_bound(const Executable& input) {
  size_t bound = 64 + input.subprogram_starts.size() * kMostOfFrames + input.hooks.size() * kMostOfHooks;
  for (const Insn& insn : input.insns)
    if (const OpcodeInfo* info = decode(insn)) bound += kMost[static_cast<size_t>(info->opcode)];
  return bound;
}

Result<JitOutput> jit_compile(const Executable& input, u64 address) {
  const size_t bound = jit_size_bound(input);
  const auto buffer = std::make_unique_for_overwrite<u8[]>(bound);
  Emitter emitter(input, address, {buffer.get(), bound});
  u32 passes = 0;
  do {
    TRY(emitter.pass(passes >= kPassesUntilFrozen));
  } while (++passes < 2 || !emitter.settled());

  const CodeLayout& layout = emitter.layout();
  JitOutput output;
  output.code.assign(buffer.get(), buffer.get() + layout.size);
  output.insn_offsets = layout.insns;
  output.entry = emitter.entry();
  output.function_entry = layout.functions[0];
  output.tail_call_entry = layout.bodies[0];
  return output;
}

}  // namespace bpfemu
