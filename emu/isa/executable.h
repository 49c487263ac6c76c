// SPDX-License-Identifier: Apache-2.0
// What the JIT assembles and the interpreter runs.
#pragma once

#include <functional>
#include <span>

#include "emu/isa/insn.h"
#include "emu/runtime/function_hooks.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// A program after verification and fix-up: map loads hold arena addresses, helper calls hold helper ids in imm,
// BPF-to-BPF calls are relative, subprograms start at `subprogram_starts` (first one 0).
struct Executable {
  std::span<const Insn> insns;
  std::span<const u32> subprogram_starts;
  std::span<const u16> stack_depths;              // bytes per subprogram
  std::function<HelperFn(u32 id)> helper;         // null: cannot be called
  std::function<HelperFn(u32 btf_id, s16 fd_index)> kfunc;  // likewise, for calls of kernel functions
  std::function<s32(u32 id)> told_helper;         // the RuntimeFunction that a call of the helper passes, -1: none; null: nobody listens
  std::span<const Map* const> called_maps;        // per instruction: the one map of a helper call, null: several
  std::span<const FunctionHooks> hooks;           // of each subprogram, in the arena; none: nothing can hang on it
  bool apart = false;                              // for traced processes, which have nothing but what `helper` gives
  bool bmi2 = __builtin_cpu_supports("bmi2");      // shlx and its siblings, which spare saving rcx
};

}  // namespace bpfemu
