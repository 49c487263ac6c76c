// SPDX-License-Identifier: Apache-2.0
// x86-64 code for verified programs. Register use follows the kernel's JIT, so that what programs can observe
// (stack layout, tail-call depth) is the same: R0 rax, R1-R5 rdi rsi rdx rcx r8, R6 rbx, R7 r13, R8 r14, R9 r15,
// R10 rbp; r12 holds the Run, r9 carries it into helpers, r10 and r11 are scratch.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "emu/base/result.h"
#include "emu/bpf/isa/insn.h"
#include "emu/bpf/run.h"

namespace bpfemu {

// A program after verification and fix-up: map loads hold arena addresses, helper calls hold helper ids in imm,
// BPF-to-BPF calls are relative, subprograms start at `subprogram_starts` (first one 0).
struct JitInput {
  std::span<const Insn> insns;
  std::span<const u32> subprogram_starts;
  std::span<const u16> stack_depths;              // bytes per subprogram
  std::function<HelperFn(u32 id)> helper;         // null: cannot be called
  std::function<HelperFn(u32 btf_id, s16 fd_index)> kfunc;  // likewise, for calls of kernel functions
  std::span<const Map* const> called_maps;        // per instruction: the one map of a helper call, null: several
  bool bmi2 = __builtin_cpu_supports("bmi2");      // shlx and its siblings, which spare saving rcx
};

struct JitOutput {
  std::vector<u8> code;                           // position-dependent: assembled for `address`
  std::vector<u32> insn_offsets;                  // code offset of each instruction, and one past the last
  u32 entry = 0, tail_call_entry = 0;             // offsets into code
};

// How many bytes of arena the code may need at the most.
size_t jit_size_bound(const JitInput& input);
// Assembles for the given arena address. EINVAL for an instruction that the JIT does not know (a bug: the verifier
// lets only known ones through).
Result<JitOutput> jit_compile(const JitInput& input, u64 address);

}  // namespace bpfemu
