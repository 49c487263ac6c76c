// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/fixup_rewrite.h"

#include "emu/isa/opcode.h"

#include <algorithm>

namespace bpfemu {
namespace {

bool is_jump(u8 code) {
  if (BPF_CLASS(code) == BPF_JMP32) return true;
  u8 op = BPF_OP(code);
  return BPF_CLASS(code) == BPF_JMP && op != BPF_CALL && op != BPF_EXIT && op != kTailCall;
}

// Instructions whose imm leads to a function of the program.
bool names_function(const Insn& insn) {
  return (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_CALL) ||
         (insn.code == (BPF_LD | BPF_IMM | BPF_DW) && insn.src_reg == BPF_PSEUDO_FUNC);
}

}  // namespace

void Rewrite::replace(u32 index, std::span<const Insn> patch) {
  patches_.push_back({index, static_cast<u32>(patch_insns_.size()), static_cast<u32>(patch.size())});
  patch_insns_.insert(patch_insns_.end(), patch.begin(), patch.end());
}

Result<void> Rewrite::apply() {
  if (patches_.empty()) return {};
  place();
  TRY(move_insns());
  move_lines();
  move_subprograms();
  patches_.clear();
  patch_insns_.clear();
  return {};
}

void Rewrite::place() {
  u32 count = static_cast<u32>(program_.insns.size());
  new_index_.resize(count + 1);
  auto patch = patches_.begin();
  u32 at = 0;
  for (u32 i = 0; i < count; ++i) {
    new_index_[i] = at;
    bool patched = patch != patches_.end() && patch->index == i;
    at += patched ? patch++->count : 1;
  }
  new_index_[count] = at;
}

Result<Insn> Rewrite::retarget(Insn insn, u32 old_index, u32 new_index) const {
  s64 next = s64{new_index} + 1;
  if (is_jump(insn.code)) {
    s64 off = new_index_[static_cast<size_t>(s64{old_index} + 1 + jump_distance(insn))] - next;
    if (is_far_jump(insn.code)) {
      insn.imm = static_cast<s32>(off);
      return insn;
    }
    if (off < INT16_MIN || off > INT16_MAX) {
      program_.log.print("insn {} cannot be patched due to 16-bit range\n", old_index);
      return fail(ERANGE);
    }
    insn.off = static_cast<s16>(off);
  } else if (names_function(insn)) {
    insn.imm = static_cast<s32>(new_index_[static_cast<size_t>(s64{old_index} + 1 + insn.imm)] - next);
  }
  return insn;
}

Result<void> Rewrite::move_insns() {
  Insns insns(new_index_.back());
  std::vector<InsnAux> aux(new_index_.back());
  auto patch = patches_.begin();
  for (u32 i = 0; i < program_.insns.size(); ++i) {
    u32 at = new_index_[i];
    if (patch == patches_.end() || patch->index != i) {
      insns[at] = TRY(retarget(program_.insns[i], i, at));
      aux[at] = program_.aux[i];
      // The second half of a 64-bit constant is no instruction of its own.
      continue;
    }
    for (u32 k = 0; k < patch->count; ++k) {
      Insn insn = patch_insns_[patch->first + k];
      if (names_function(insn)) {
        insn.imm = static_cast<s32>(s64{new_index_[static_cast<u32>(insn.imm)]} - (s64{at} + k + 1));
      }
      insns[at + k] = insn;
      aux[at + k].seen = program_.aux[i].seen;
    }
    if (patch->count > 0) aux[at + patch->count - 1] = program_.aux[i];
    ++patch;
  }
  program_.insns = std::move(insns);
  program_.aux = std::move(aux);
  return {};
}

// A function none of whose instructions are left goes, and its func_info with it.
void Rewrite::move_subprograms() {
  auto& subprogs = program_.subprogs;
  auto& functions = program_.func_info;
  size_t kept = 0;
  for (size_t i = 0; i < subprogs.size(); ++i) {
    bool last = i + 1 == subprogs.size();
    if (!last && new_index_[subprogs[i].start] == new_index_[subprogs[i + 1].start]) continue;
    Subprog moved = subprogs[i];
    moved.start = new_index_[moved.start];
    auto line = std::lower_bound(program_.line_info.begin(), program_.line_info.end(), moved.start,
                                 [](const bpf_line_info& info, u32 start) { return info.insn_off < start; });
    moved.line_info_idx = static_cast<u32>(line - program_.line_info.begin());
    if (kept < functions.size() && i < functions.size()) functions[kept] = functions[i];
    subprogs[kept++] = moved;
  }
  subprogs.resize(kept);
  if (functions.size() >= kept) functions.resize(kept - 1);
}

// Lines of removed instructions go, except the last before an instruction that has none of its own: it inherits
// (kernel: bpf_adj_linfo_after_remove).
void Rewrite::move_lines() {
  auto& lines = program_.line_info;
  size_t kept = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    u32 at = new_index_[lines[i].insn_off];
    bool shadowed = i + 1 < lines.size() && new_index_[lines[i + 1].insn_off] == at;
    if (shadowed || at == new_index_.back()) continue;
    lines[kept] = lines[i];
    lines[kept++].insn_off = at;
  }
  lines.resize(kept);
}

}  // namespace bpfemu
