// SPDX-License-Identifier: Apache-2.0
// Control flow: every instruction is reachable, loops only for privileged loaders; marks where states are kept
// (kernel: check_cfg). A depth-first walk without recursion: an instruction is entered once for its fall-through and
// once for its branch.
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

enum class Edge : u8 { kFallthrough = 1, kBranch = 2 };

class Walk {
 public:
  struct Host {
    const Insns& insns;
    std::vector<InsnAux>& aux;
    bool loops_allowed;
  };
  enum class Step { kDone, kDescend, kOutOfRange, kBackEdge, kBadGoto };

  explicit Walk(Host host) : host_(host), status_(host.insns.size()), edges_(host.insns.size()) {
    status_[0] = Status::kDiscovered;
    stack_.push_back(0);
  }

  bool finished() const { return stack_.empty(); }
  u32 top() const { return stack_.back(); }
  void leave() {
    status_[top()] = Status::kExplored;
    stack_.pop_back();
  }
  bool reached(u32 i) const { return status_[i] == Status::kExplored; }
  bool untouched(u32 i) const { return status_[i] == Status::kNew; }
  s64 target() const { return target_; }

  Step visit(u32 at) {
    const Insn& insn = host_.insns[at];
    u8 cls = BPF_CLASS(insn.code);
    if (is_func_address(insn)) return visit_call(at, true);
    if (cls != BPF_JMP && cls != BPF_JMP32) {
      return follow(at, at + (is_wide_load(insn) ? 2 : 1), Edge::kFallthrough, false);
    }
    switch (BPF_OP(insn.code)) {
      case BPF_EXIT: return Step::kDone;
      case BPF_CALL:
        // A timer's callback may set it again: states are kept to notice that.
        if (insn.imm == BPF_FUNC_timer_set_callback) host_.aux[at].prune_point = true;
        return visit_call(at, insn.src_reg == BPF_PSEUDO_CALL);
      case BPF_JA: {
        if (BPF_SRC(insn.code) != BPF_K) return Step::kBadGoto;
        s64 to = s64{at} + 1 + (cls == BPF_JMP ? insn.off : insn.imm);
        if (Step step = follow(at, to, Edge::kFallthrough, true); step != Step::kDone) return step;
        mark_target(to);
        return Step::kDone;
      }
      default: {
        host_.aux[at].prune_point = true;
        if (Step step = follow(at, s64{at} + 1, Edge::kFallthrough, true); step != Step::kDone) return step;
        return follow(at, s64{at} + insn.off + 1, Edge::kBranch, true);
      }
    }
  }

 private:
  enum class Status : u8 { kNew, kDiscovered, kExplored };

  void mark_target(s64 to) {
    host_.aux[to].prune_point = true;
    host_.aux[to].jmp_point = true;
  }

  Step visit_call(u32 at, bool into_callee) {
    const Insn& insn = host_.insns[at];
    s64 after = at + (is_wide_load(insn) ? 2 : 1);
    if (Step step = follow(at, after, Edge::kFallthrough, false); step != Step::kDone) return step;
    mark_target(after);
    if (!into_callee) return Step::kDone;
    host_.aux[at].prune_point = true;
    // Taking a function's own address is no recursion yet.
    return follow(at, s64{at} + insn.imm + 1, Edge::kBranch, is_func_address(insn));
  }

  Step follow(u32 from, s64 to, Edge edge, bool loop_ok) {
    u8 number = static_cast<u8>(edge);
    if (edges_[from] >= number) return Step::kDone;
    target_ = static_cast<s32>(to);
    if (target_ < 0 || target_ >= static_cast<s64>(host_.insns.size())) return Step::kOutOfRange;
    to = target_;
    if (edge == Edge::kBranch) mark_target(to);
    switch (status_[to]) {
      case Status::kNew:
        edges_[from] = number;
        status_[to] = Status::kDiscovered;
        stack_.push_back(static_cast<u32>(to));
        return Step::kDescend;
      case Status::kDiscovered: return loop_ok && host_.loops_allowed ? Step::kDone : Step::kBackEdge;
      default: edges_[from] = number; return Step::kDone;
    }
  }

  Host host_;
  std::vector<Status> status_;
  std::vector<u8> edges_;  // the last edge that was followed
  std::vector<u32> stack_;
  s64 target_ = 0;
};

}  // namespace

Check Checker::check_cfg() {
  Walk walk({insns_, aux_, capable_});
  while (!walk.finished()) {
    u32 at = walk.top();
    switch (walk.visit(at)) {
      case Walk::Step::kDone: walk.leave(); break;
      case Walk::Step::kDescend: break;
      case Walk::Step::kBadGoto: return fail(EINVAL);
      case Walk::Step::kOutOfRange:
        print_line(at, fmt::format("{}: ", at));
        return reject(EINVAL, "jump out of range from insn {} to {}\n", at, walk.target());
      case Walk::Step::kBackEdge:
        print_line(at, fmt::format("{}: ", at));
        print_line(static_cast<u32>(walk.target()), fmt::format("{}: ", walk.target()));
        return reject(EINVAL, "back-edge from insn {} to {}\n", at, walk.target());
    }
  }
  for (u32 i = 0; i < insn_count(); ++i) {
    if (!walk.reached(i)) return reject(EINVAL, "unreachable insn {}\n", i);
    if (is_wide_load(insns_[i]) && !walk.untouched(++i)) {
      return reject(EINVAL, "jump into the middle of ldimm64 insn {}\n", i - 1);
    }
  }
  return {};
}

}  // namespace bpfemu
