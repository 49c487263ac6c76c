// SPDX-License-Identifier: Apache-2.0
#include "emu/explain/trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/explain/source.h"

namespace bpfemu {

namespace {

bool is_jump(const Insn& insn) {
  return BPF_CLASS(insn.code) == BPF_JMP || BPF_CLASS(insn.code) == BPF_JMP32;
}
bool is_alu(const Insn& insn) {
  return BPF_CLASS(insn.code) == BPF_ALU || BPF_CLASS(insn.code) == BPF_ALU64;
}
bool is_conditional(const Insn& insn) {
  u8 op = BPF_OP(insn.code);
  return is_jump(insn) && op != BPF_CALL && op != BPF_EXIT && op != BPF_JA;
}

std::string memory_text(RegType through) {
  switch (base_type(through)) {
    case kPtrToCtx: return "the context";
    case kPtrToMapValue: return "a map value";
    case kPtrToMapKey: return "a map key";
    case kPtrToStack: return "the stack";
    case kPtrToPacket: return "the packet";
    case kPtrToBtfId: return "a kernel structure";
    case kPtrToSocket:
    case kPtrToSockCommon:
    case kPtrToTcpSock:
    case kPtrToXdpSock: return "a socket";
    default: return "memory";
  }
}

class Walk {
 public:
  Walk(const Rejection& rejection, u32 reg, Follow follow)
      : rejection_(rejection), follow_(follow), depth_(rejection.depth), reg_(reg) {}

  std::vector<TraceEvent> run() {
    const auto& path = rejection_.path;
    size_t at = path.size();
    if (at && path.back().insn == rejection_.insn && path.back().depth == rejection_.depth) --at;
    while (!done_ && at-- > 0) visit(at);
    if (!done_) arrive_at_start();
    return std::move(events_);
  }

 private:
  void add(TraceEvent::Kind kind, const Step& step, std::string what = {}) {
    // Of the rounds of a loop the last one counts.
    auto again = [&](const TraceEvent& e) { return e.kind == kind && e.insn == step.insn; };
    if (std::any_of(events_.begin(), events_.end(), again)) return;
    events_.push_back({kind, step.insn, std::move(what), step.after});
  }
  void originate(const Step& step, std::string what) {
    add(TraceEvent::Kind::kOrigin, step, std::move(what));
    done_ = true;
  }

  void visit(size_t at) {
    const Step& step = rejection_.path[at];
    const Insn& insn = rejection_.insns[step.insn];
    if (is_jump(insn) && BPF_OP(insn.code) == BPF_EXIT && !slot_ && reg_ == BPF_REG_0 && step.depth == depth_ + 1) {
      depth_ = step.depth;  // the result of a function of the program's own
    } else if (step.depth + 1 == depth_ && is_jump(insn) && BPF_OP(insn.code) == BPF_CALL) {
      enter_caller(step, insn);
    } else if (slot_ && writes_somewhere(step, insn)) {
      done_ = true;
    } else if (step.depth == depth_) {
      slot_ ? visit_slot(step, insn) : visit_reg(at, step, insn);
    }
  }

  // Stores to the stack through another register than R10: nobody knows to which slot.
  bool writes_somewhere(const Step& step, const Insn& insn) const {
    u8 cls = BPF_CLASS(insn.code);
    return (cls == BPF_ST || cls == BPF_STX) && insn.dst_reg != kFrameReg &&
           base_type(rejection_.base_types[step.insn]) == kPtrToStack;
  }

  void enter_caller(const Step& step, const Insn& insn) {
    if (slot_) {
      done_ = true;
    } else if (insn.src_reg == BPF_PSEUDO_CALL) {
      --depth_;
    } else {
      originate(step, fmt::format("an argument that {} passes", call_text(rejection_, step.insn)));
    }
  }

  void visit_slot(const Step& step, const Insn& insn) {
    u8 cls = BPF_CLASS(insn.code);
    if (*slot_ >= step.filled_from && *slot_ < step.filled_to) {
      originate(step, fmt::format("filled in by {}", call_text(rejection_, step.insn)));
    } else if ((cls == BPF_STX || cls == BPF_ST) && BPF_MODE(insn.code) == BPF_MEM && insn.dst_reg == kFrameReg &&
               insn.off == *slot_) {
      if (cls == BPF_ST) return originate(step, fmt::format("set to {}", insn.imm));
      slot_.reset();
      reg_ = insn.src_reg;
    }
  }

  void visit_reg(size_t at, const Step& step, const Insn& insn) {
    u8 cls = BPF_CLASS(insn.code);
    if (is_jump(insn)) {
      visit_jump(step, insn);
    } else if (cls == BPF_STX && BPF_MODE(insn.code) == BPF_ATOMIC) {
      u32 loaded = insn.imm == BPF_CMPXCHG ? u32{BPF_REG_0} : u32{insn.src_reg};
      if ((insn.imm & BPF_FETCH) && loaded == reg_) originate(step, "fetched by an atomic operation");
    } else if (cls == BPF_ST || cls == BPF_STX || insn.dst_reg != reg_) {
      return;
    } else if (is_alu(insn)) {
      visit_alu(at, step, insn);
    } else if (cls == BPF_LDX && insn.src_reg == kFrameReg) {
      slot_ = insn.off;
    } else if (cls == BPF_LDX) {
      originate(step, "loaded from " + memory_text(rejection_.base_types[step.insn]));
    } else {
      originate(step, insn.src_reg ? "the address of a map or variable" : "a constant");
    }
  }

  void visit_jump(const Step& step, const Insn& insn) {
    if (BPF_OP(insn.code) == BPF_CALL) {
      if (reg_ == BPF_REG_0) return originate(step, "the result of " + call_text(rejection_, step.insn));
      if (reg_ <= BPF_REG_5) {
        add(TraceEvent::Kind::kLost, step);
        done_ = true;
      }
    } else if (is_conditional(insn) && insn.dst_reg == reg_ && follow_ == Follow::kNumber &&
               step.after.type == kScalar) {
      add(TraceEvent::Kind::kCompared, step);
    }
  }

  void visit_alu(size_t at, const Step& step, const Insn& insn) {
    bool from_reg = BPF_SRC(insn.code) == BPF_X;
    if (BPF_OP(insn.code) == BPF_MOV) {
      if (!from_reg) return originate(step, fmt::format("set to {}", insn.imm));
      reg_ = insn.src_reg;
      return;
    }
    if (!from_reg || !is_pointer(step.after.type)) return;
    // A pointer and a number: one of the two is what is asked for.
    bool src_is_pointer = is_pointer(type_before(at, insn.src_reg));
    if (follow_ == Follow::kNumber) {
      add(TraceEvent::Kind::kAdded, step);
      if (!src_is_pointer) reg_ = insn.src_reg;
    } else if (src_is_pointer) {
      reg_ = insn.src_reg;
    }
  }

  // What a register of the frame at hand held before the step.
  RegType type_before(size_t at, u32 reg) const {
    if (reg == kFrameReg) return kPtrToStack;
    while (at-- > 0) {
      const Step& step = rejection_.path[at];
      const Insn& insn = rejection_.insns[step.insn];
      bool told = is_jump(insn) ? is_conditional(insn) && insn.dst_reg == reg : insn.dst_reg == reg;
      if (is_jump(insn) && BPF_OP(insn.code) == BPF_CALL) told = reg == BPF_REG_0;
      if (step.depth == depth_ && told) return step.after.type;
    }
    return kNotInit;
  }

  // The beginning of the program, or of a global function.
  void arrive_at_start() {
    if (rejection_.path_cut || rejection_.path.empty() || slot_ || depth_ != 0) return;
    const Step& first = rejection_.path.front();
    if (reg_ == BPF_REG_1 && first.insn == 0) {
      events_.push_back({TraceEvent::Kind::kOrigin, first.insn, "the context", {}});
    } else if (first.insn != 0 && reg_ >= BPF_REG_1 && reg_ <= BPF_REG_5) {
      std::string what = fmt::format("an argument of {}()", function_name(rejection_, first.insn));
      events_.push_back({TraceEvent::Kind::kOrigin, first.insn, what, {}});
    }
  }

  const Rejection& rejection_;
  Follow follow_;
  u32 depth_, reg_;
  std::optional<s32> slot_;  // of the stack, instead of reg_
  bool done_ = false;
  std::vector<TraceEvent> events_;
};

}  // namespace

std::vector<TraceEvent> trace(const Rejection& rejection, u32 reg, Follow follow) {
  return Walk(rejection, reg, follow).run();
}

std::optional<u32> last_branch_since(const Rejection& rejection, u32 since) {
  std::optional<u32> branch;
  for (size_t at = rejection.path.size(); at-- > 0;) {
    const Step& step = rejection.path[at];
    if (step.insn == since) return branch;
    if (!branch && step.depth == rejection.depth && is_conditional(rejection.insns[step.insn])) branch = step.insn;
  }
  return std::nullopt;
}

std::optional<u32> last_packet_check(const Rejection& rejection) {
  for (size_t at = rejection.path.size(); at-- > 0;) {
    const Step& step = rejection.path[at];
    const Insn& insn = rejection.insns[step.insn];
    RegType type = base_type(step.after.type);
    bool packet = type == kPtrToPacket || type == kPtrToPacketMeta || type == kPtrToPacketEnd;
    if (is_conditional(insn) && BPF_SRC(insn.code) == BPF_X && packet) return step.insn;
  }
  return std::nullopt;
}

std::string range_text(const Range64& range) {
  if (range == Range64{}) return "any number";
  if (range.umin == range.umax) return fmt::format("{}", static_cast<s64>(range.umin));
  if (range.smin < 0) {
    if (range.smax == Range64{}.smax) return fmt::format("{} or more", range.smin);
    if (range.smin == Range64{}.smin) return fmt::format("at most {}, negative too", range.smax);
    return fmt::format("{} to {}", range.smin, range.smax);
  }
  return fmt::format("{} to {}", range.umin, range.umax);
}

std::string call_text(const Rejection& rejection, u32 insn) {
  const Insn& call = rejection.insns[insn];
  if (call.src_reg == BPF_PSEUDO_CALL) {
    s64 target = s64{insn} + call.imm + 1;
    return function_name(rejection, static_cast<u32>(target)) + "()";
  }
  if (call.src_reg != 0) {
    const Btf* kernel = rejection.info.world->vmlinux.get();
    const char* name = kernel && call.imm ? kernel->type_name(static_cast<u32>(call.imm)) : nullptr;
    return name ? fmt::format("{}()", name) : "a kernel function";
  }
  return fmt::format("bpf_{}()", helper_name(static_cast<u32>(call.imm)));
}

}  // namespace bpfemu
