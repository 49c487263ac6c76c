// SPDX-License-Identifier: Apache-2.0
// How to get past a patched instruction without putting it back: most run out of line, from a slot that holds a copy
// and a jump back; those whose meaning depends on where they stand (relative jumps and calls) are emulated.
// One slot serves all threads, since a copy that jumps back by itself needs no second stop.
#pragma once

#include <optional>
#include <span>

#include "emu/ports/sites.h"

namespace bpfemu {

inline constexpr size_t kMaxInsnLength = 15;
inline constexpr size_t kSlotSize = 32;
inline constexpr u8 kInt3 = 0xcc;

struct StepPlan {
  enum class Kind : u8 {
    kNop,  // nop and endbr64: nothing but rip changes
    kOutOfLine,
    kCall,          // call rel32
    kCallIndirect,  // call r/m64
    kJump,          // jmp rel8, rel32
    kBranch,        // jcc: `condition` is the low nibble of the opcode
    kCountedJump,   // loop, loope, loopne, jrcxz, jecxz: `condition` is the opcode
  };
  Kind kind;
  u8 length;
  u8 condition = 0;
  s64 displacement = 0;  // of relative calls and jumps, from the next instruction
  u8 disp_offset = 0;    // where a RIP-relative disp32 stands, 0 when there is none
  u8 modrm_offset = 0;   // kCallIndirect
  // Out of line: a single step is all that it takes, and the program cannot tell. Not of system calls, which may sleep,
  // of repeated string instructions and of what sees the trap flag.
  bool one_step = false;
  // kCallIndirect: where the target is. Register numbers are the encoding's (0 rax ... 15 r15), -1 none.
  s8 base = -1, index = -1;
  u8 scale = 0;
  bool memory = false, rip_relative = false;
};

// Does the kernel probe the instruction at the head of `bytes`? ENOTSUPP (kernel: arch_uprobe_analyze_insn).
Result<void> check_probed(std::span<const u8> bytes);

// Decodes that instruction. ENOTSUP: it is one that the kernel probes and we cannot step (invalid ones, far calls,
// transactions, indirect calls with a segment override).
Result<StepPlan> plan_step(std::span<const u8> bytes);

using SlotCode = std::array<u8, kSlotSize>;
// The slot's content for an out-of-line plan: the instruction with RIP-relative operands corrected for `slot`, then a
// jump to the instruction that follows `address`. ERANGE when something is out of reach of 32 bits.
Result<SlotCode> build_slot(const StepPlan& plan, std::span<const u8> bytes, u64 address, u64 slot);

// For a call that cannot be emulated since its stack (or operand) is not accessible to us: code that accesses both as
// the call does and goes back to `address`. The thread itself makes its stack grow, or takes the fault.
Result<SlotCode> build_touch(const StepPlan& plan, std::span<const u8> bytes, u64 address, u64 slot);
// Where in that code 8 bytes more are on the stack than the program knows of.
size_t touch_pushed(const StepPlan& plan);

// Carries out an emulated plan on a thread whose rip is the instruction's address. EFAULT: its stack or operand is not
// accessible (the thread might have faulted there).
Result<void> emulate(const StepPlan& plan, Task& task, PtRegs& regs);

}  // namespace bpfemu
