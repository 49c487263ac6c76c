// SPDX-License-Identifier: Apache-2.0
// Why a program was refused: the verifier's own facts at that point, for those who explain them.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "emu/verifier/prog_env.h"
#include "emu/verifier/state.h"

namespace bpfemu {

// What was known of a register.
struct Known {
  RegType type = kNotInit;
  s32 off = 0;
  u32 id = 0;
  Range64 range;
};

// An instruction on the path that leads to the rejection.
struct Step {
  u32 insn = 0;
  u32 depth = 0;  // call frame that it ran in
  // Of the register that it wrote, or of the first that it compared. Unset at the last step.
  Known after{};
  // Helper calls: bytes of the frame's stack that the helper filled, as offsets from the frame pointer.
  s32 filled_from = 0, filled_to = 0;
};

struct Rejection {
  int error = 0;
  std::vector<LogMessage> messages{};  // what the verifier said last

  bool exploring = false;  // refused on a path, rather than by a check before or after
  u32 insn = 0, depth = 0;
  std::array<Reg, kRegs> regs{};  // of the current frame
  std::vector<Reference> references{};
  std::vector<Step> path{};  // oldest first; its end is the refused instruction, if that began at all
  bool path_cut = false;     // there was more before
  u32 processed = 0;

  // The program.
  ProgInfo info{};
  const ProgTypeOps* ops = nullptr;
  std::string name{};
  Insns insns{};
  std::vector<RegType> base_types{};  // per instruction: what loads and stores went through
  std::vector<Subprog> subprogs{};    // a last one with start = insns.size() follows
  std::vector<bpf_func_info> func_info{};
  std::vector<bpf_line_info> line_info{};
  std::shared_ptr<const Btf> btf{};
  std::vector<std::shared_ptr<MapObject>> maps{};  // those that registers point to
};

}  // namespace bpfemu
