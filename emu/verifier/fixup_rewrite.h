// SPDX-License-Identifier: Apache-2.0
// Replaces instructions of a program by others, all at once, and keeps what points at instructions in step: jumps,
// calls, function starts, line information, facts (kernel: bpf_patch_insn_data, verifier_remove_insns).
#pragma once

#include <span>
#include <vector>

#include "emu/verifier/prog_env.h"

namespace bpfemu {

class Rewrite {
 public:
  explicit Rewrite(FixupProgram& program) : program_(program) {}

  // `patch` takes the place of instruction `index`, whose facts go to the patch's last instruction. Indices must rise
  // from call to call. Jumps within the patch stay as they are; a call of a function has the index of its first
  // instruction, before the rewrite, in imm.
  void replace(u32 index, std::span<const Insn> patch);
  // Jumps to removed instructions go to what follows.
  void remove(u32 index) { replace(index, {}); }

  // ERANGE: a jump has become too long.
  Result<void> apply();

 private:
  struct Patch {
    u32 index, first, count;  // of the program; in patch_insns_
  };

  void place();
  Result<void> move_insns();
  Result<Insn> retarget(Insn insn, u32 old_index, u32 new_index) const;
  void move_subprograms();
  void move_lines();

  FixupProgram& program_;
  std::vector<Patch> patches_;
  Insns patch_insns_;
  std::vector<u32> new_index_;  // of every old instruction, and one past the last
};

}  // namespace bpfemu
