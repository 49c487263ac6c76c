// SPDX-License-Identifier: Apache-2.0
// The program's functions: where they start, that jumps stay inside, and how much stack chains of calls take.
#include <algorithm>

#include "emu/verifier/checker.h"

namespace bpfemu {

s32 Checker::find_subprog(s64 start) const {
  auto end = subprogs_.end() - 1;
  auto it = std::lower_bound(subprogs_.begin(), end, start, [](const Subprog& s, s64 at) { return s.start < at; });
  return it != end && it->start == start ? static_cast<s32>(it - subprogs_.begin()) : -1;
}

Result<u32> Checker::add_subprog(s64 start) {
  if (start < 0 || start >= insn_count()) return reject(EINVAL, "call to invalid destination\n");
  if (s32 known = find_subprog(start); known >= 0) return static_cast<u32>(known);
  if (subprog_count() >= kSubprogLimit) return reject(E2BIG, "too many subprograms\n");
  auto it = std::lower_bound(subprogs_.begin(), subprogs_.end() - 1, start,
                             [](const Subprog& s, s64 at) { return s.start < at; });
  return static_cast<u32>(subprogs_.insert(it, Subprog{.start = static_cast<u32>(start)}) - subprogs_.begin());
}

Check Checker::find_subprogs() {
  subprogs_.assign(1, Subprog{.start = insn_count()});
  TRY(add_subprog(0));
  for (u32 i = 0; i < insn_count(); ++i) {
    const Insn& insn = insns_[i];
    bool own = is_func_address(insn) || is_subprog_call(insn);
    if (!own && !is_kfunc_call(insn)) continue;
    if (!capable_) {
      return reject(EPERM, "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN\n");
    }
    if (own) {
      TRY(add_subprog(s64{i} + insn.imm + 1));
    } else {
      TRY(add_kfunc(static_cast<u32>(insn.imm), insn.off));
    }
  }
  if (log_.level() & VerifierLog::kLevel2) {
    for (u32 i = 0; i < subprog_count(); ++i) log_.print("func#{} @{}\n", i, subprogs_[i].start);
  }
  return {};
}

Check Checker::check_jumps() {
  u32 current = 0;
  for (u32 i = 0; i < insn_count(); ++i) {
    const Insn& insn = insns_[i];
    Subprog& subprog = subprogs_[current];
    u32 end = subprogs_[current + 1].start;
    u8 cls = BPF_CLASS(insn.code), op = BPF_OP(insn.code), mode = BPF_MODE(insn.code);
    if (is_call(insn) && insn.imm == BPF_FUNC_tail_call && insn.src_reg != BPF_PSEUDO_CALL)
      subprog.has_tail_call = true;
    if (cls == BPF_LD && (mode == BPF_ABS || mode == BPF_IND)) subprog.has_ld_abs = true;
    bool far_goto = insn.code == (BPF_JMP32 | BPF_JA);
    if ((cls == BPF_JMP || cls == BPF_JMP32) && op != BPF_EXIT && op != BPF_CALL) {
      s64 to = s64{i} + 1 + (far_goto ? insn.imm : insn.off);
      if (static_cast<s32>(to) < static_cast<s32>(subprog.start) || static_cast<s32>(to) >= static_cast<s32>(end)) {
        return reject(EINVAL, "jump out of range from insn {} to {}\n", i, static_cast<s32>(to));
      }
    }
    if (i != end - 1) continue;
    if (insn.code != (BPF_JMP | BPF_EXIT) && insn.code != (BPF_JMP | BPF_JA) && !far_goto) {
      return reject(EINVAL, "last insn is not an exit or jmp\n");
    }
    ++current;
  }
  return {};
}

// Walks every chain of calls from `root`. Each frame takes its stack rounded up to 32 bytes, at least 32.
Check Checker::check_stack_depth_from(u32 root) {
  auto rounded = [this](u32 subprog) {
    return static_cast<s32>(round_up(std::max<u32>(subprogs_[subprog].stack_depth, 1), 32));
  };
  struct Return {
    u32 insn, subprog;
  };
  std::vector<Return> callers;
  u32 subprog = root, i = subprogs_[root].start;
  s32 depth = 0;
  bool tail_call_reachable = false, entering = true;
  for (;;) {
    if (entering) {
      entering = false;
      // A tail call keeps the callers' frames: bounded so that 33 tail calls fit the kernel's stack.
      if (subprog && subprogs_[subprog].has_tail_call && depth >= 256) {
        return reject(EACCES, "tail_calls are not allowed when call stack of previous frames is {} bytes. Too large\n",
                      depth);
      }
      depth += rounded(subprog);
      if (depth > kMaxStack) {
        return reject(EACCES, "combined stack size of {} calls is {}. Too large\n", callers.size() + 1, depth);
      }
    }
    for (u32 end = subprogs_[subprog + 1].start; i < end; ++i) {
      const Insn& insn = insns_[i];
      if (!is_subprog_call(insn) && !is_func_address(insn)) continue;
      s64 target = s64{i} + insn.imm + 1;
      s32 callee = find_subprog(target);
      if (callee < 0) return fail(EFAULT);
      if (subprogs_[callee].is_async_callback) {
        if (subprogs_[callee].has_tail_call) {
          return reject(EFAULT, "verifier bug. subprog has tail_call and async cb\n");
        }
        if (!is_subprog_call(insn)) continue;  // runs on a stack of its own
      }
      callers.push_back({i + 1, subprog});
      i = static_cast<u32>(target);
      subprog = static_cast<u32>(callee);
      tail_call_reachable |= subprogs_[subprog].has_tail_call;
      if (callers.size() >= kMaxFrames) {
        return reject(E2BIG, "the call stack of {} frames is too deep !\n", callers.size());
      }
      entering = true;
      break;
    }
    if (entering) continue;
    if (tail_call_reachable) {
      for (const Return& caller : callers) subprogs_[caller.subprog].tail_call_reachable = true;
    }
    if (callers.empty()) return {};
    depth -= rounded(subprog);
    i = callers.back().insn;
    subprog = callers.back().subprog;
    callers.pop_back();
  }
}

Check Checker::check_stack_depth() {
  for (u32 i = 0; i < subprog_count(); ++i) {
    if (i == 0 || subprogs_[i].is_async_callback) TRY(check_stack_depth_from(i));
  }
  return {};
}

}  // namespace bpfemu
