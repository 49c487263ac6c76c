// SPDX-License-Identifier: Apache-2.0
// The verifier's state in the log, in the words of 6.1 (kernel: print_verifier_state, print_insn_state).
#include "emu/isa/disasm.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

constexpr const char* kTypeNames[kRegBaseCount] = {
    "?",         "scalar",   "ctx",     "map_ptr",   "map_value", "map_key",     "fp",
    "pkt_meta",  "pkt",      "pkt_end", "flow_keys", "sock",      "sock_common", "tcp_sock",
    "tp_buffer", "xdp_sock", "ptr_",    "mem",       "buf",       "func",        "dynptr_ptr",
};

// In rising priority: only the last one that applies is shown.
constexpr std::pair<u32, const char*> kTypePrefixes[] = {
    {kRdonly, "rdonly_"}, {kAlloc, "alloc_"}, {kUser, "user_"}, {kPercpu, "percpu_"}, {kUntrusted, "untrusted_"},
};

constexpr char kSlotLetters[] = {'?', 'r', 'm', '0', 'd'};

std::string liveness_text(u8 live) {
  std::string text;
  if (live & (kRead | kWritten | kDone)) text += '_';
  if (live & kRead) text += 'r';
  if (live & kWritten) text += 'w';
  if (live & kDone) text += 'D';
  return text;
}

// Prints "a=1,b=2": a comma before all but the first.
class List {
 public:
  explicit List(VerifierLog& log) : log_(log) {}
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    log_.append(separator_ + fmt::format(format, std::forward<Args>(args)...));
    separator_ = ",";
  }

 private:
  VerifierLog& log_;
  std::string separator_;
};

// Limits that say more than others already shown.
void add_limits(List& list, const Reg& reg) {
  const Range64& r = reg.r64;
  const Range32& low = reg.r32;
  constexpr Range64 kAll64{};
  constexpr Range32 kAll32{};
  if (r.smin != static_cast<s64>(r.umin) && r.smin != kAll64.smin) list.add("smin={}", r.smin);
  if (r.smax != static_cast<s64>(r.umax) && r.smax != kAll64.smax) list.add("smax={}", r.smax);
  if (r.umin != 0) list.add("umin={}", r.umin);
  if (r.umax != kAll64.umax) list.add("umax={}", r.umax);
  if (!reg.var_off.is_unknown()) list.add("var_off={}", reg.var_off.text());
  if (low.smin != r.smin && low.smin != kAll32.smin) list.add("s32_min={}", low.smin);
  if (low.smax != r.smax && low.smax != kAll32.smax) list.add("s32_max={}", low.smax);
  if (low.umin != r.umin && low.umin != 0) list.add("u32_min={}", static_cast<s32>(low.umin));
  if (low.umax != r.umax && low.umax != kAll32.umax) list.add("u32_max={}", static_cast<s32>(low.umax));
}

bool shows_reference(RegType type) {
  RegBase base = static_cast<RegBase>(base_type(type));
  return base == kPtrToSocket || base == kPtrToTcpSock || base == kPtrToMem || base == kPtrToBtfId;
}

// Maps live in the arena; the log shows addresses as a kernel has them, in its direct map.
std::string map_address(const Insn& insn, u64 value) {
  constexpr u64 kDirectMap = 0xffff888000000000, kWindow = (u64{1} << 39) - 1;
  bool of_map = insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE ||
                insn.src_reg == BPF_PSEUDO_MAP_IDX || insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
  return of_map && value ? fmt::format("{:#x}", kDirectMap | (value & kWindow)) : std::string();
}

}  // namespace

// "bpf_map_lookup_elem" (kernel: func_id_name).
std::string helper_text(u32 id) {
  if (id == 0) return "bpf_unspec";
  std::string_view name = helper_name(id);
  return name == "unknown" ? std::string(name) : fmt::format("bpf_{}", name);
}

std::string Checker::type_text(RegType type) const {
  std::string_view prefix;
  for (auto [flag, text] : kTypePrefixes) {
    if (type & flag) prefix = text;
  }
  std::string_view postfix = !(type & kMaybeNull) ? "" : base_type(type) == kPtrToBtfId ? "or_null_" : "_or_null";
  return fmt::format("{}{}{}", prefix, kTypeNames[base_type(type)], postfix);
}

void Checker::print_reg(const Reg& reg) {
  RegType type = reg.type;
  if (type == kScalar && reg.precise) log_.print("P");
  if ((type == kScalar || type == kPtrToStack) && reg.var_off.is_const()) {
    log_.print("{}{}", type == kScalar ? "" : type_text(type), static_cast<s64>(reg.var_off.value + reg.off));
    return;
  }
  log_.append(type_text(type));
  if (base_type(type) == kPtrToBtfId) log_.append(reg.btf()->type_name(reg.btf_id()));
  log_.print("(");
  List list(log_);
  if (reg.id) list.add("id={}", reg.id);
  if (shows_reference(type) && reg.ref_obj_id) list.add("ref_obj_id={}", reg.ref_obj_id);
  if (type != kScalar) list.add("off={}", reg.off);
  if (reg.is_packet()) {
    list.add("r={}", reg.range());
  } else if (base_type(type) == kConstPtrToMap || base_type(type) == kPtrToMapKey ||
             base_type(type) == kPtrToMapValue) {
    list.add("ks={},vs={}", reg.map()->map().key_size, reg.map()->map().value_size);
  }
  if (reg.var_off.is_const()) {
    list.add("imm={:x}", reg.var_off.value);
  } else {
    add_limits(list, reg);
  }
  log_.print(")");
}

void Checker::print_state(const Frame& frame, bool all) {
  if (frame.number) log_.print(" frame{}:", frame.number);
  for (u32 i = 0; i < kRegs; ++i) {
    const Reg& reg = frame.regs[i];
    if (reg.type == kNotInit || (!all && !(touched_regs_ >> i & 1))) continue;
    log_.print(" R{}", i);
    log_.append(liveness_text(reg.live));
    log_.print("=");
    print_reg(reg);
  }
  for (size_t i = 0; i < frame.stack.size(); ++i) {
    const StackSlot& slot = frame.stack[i];
    std::string letters;
    bool used = false;
    for (Slot byte : slot.bytes) {
      used |= byte != Slot::kInvalid;
      letters += kSlotLetters[static_cast<u32>(byte)];
    }
    if (!used || (!all && !(touched_slots_ >> i & 1))) continue;
    log_.print(" fp{}", -static_cast<s64>(i + 1) * kSlotSize);
    log_.append(liveness_text(slot.spilled.live));
    if (!slot.is_spilled()) {
      log_.print("={}", letters);
      continue;
    }
    const Reg& reg = slot.spilled;
    log_.print("={}", reg.type == kScalar ? "" : type_text(reg.type));
    if (reg.type == kScalar && reg.precise) log_.print("P");
    if (reg.is_const()) log_.print("{}", static_cast<s64>(reg.var_off.value + reg.off));
  }
  if (!frame.refs.empty() && frame.refs[0].id) {
    log_.print(" refs={}", frame.refs[0].id);
    for (size_t i = 1; i < frame.refs.size(); ++i) {
      if (frame.refs[i].id) log_.print(",{}", frame.refs[i].id);
    }
  }
  if (frame.in_callback) log_.print(" cb");
  if (frame.in_async_callback) log_.print(" async_cb");
  log_.print("\n");
  if (!all) touched_regs_ = 0, touched_slots_ = 0;
}

void Checker::print_state_after_insn() {
  if (log_after_insn_ && log_after_insn_ == log_.position()) {
    // On the instruction's own line, from column 40 on.
    constexpr size_t kColumn = 40, kStep = 8;
    log_.reset(log_after_insn_ - 1);
    size_t column = round_up(std::max(insn_text_length_ + kStep / 2, kColumn), kStep) - insn_text_length_ - 1;
    log_.print("{:>{}};", ' ', column);
  } else {
    log_.print("{}:", insn_);
  }
  print_state(cur_.frame(), false);
}

void Checker::print_insn(u32 index) {
  if (!log_.wanted()) return;
  DisasmNames names;
  std::string helper;
  names.helper = [&helper](u32 id) { return std::string_view(helper = helper_text(id)); };
  names.constant = map_address;
  names.call = [this](const Insn& insn) { return kfunc_name(insn); };
  log_.append(disassemble(insns_, index, names, allow_ptr_leaks_));
  log_.print("\n");
}

void Checker::print_bad_scalar(const Reg& reg, Tnum range, std::string_view context, std::string_view name) {
  log_.print("At {} the register {} ", context, name);
  if (reg.var_off.is_unknown()) {
    log_.print("has unknown scalar value");
  } else {
    log_.print("has value {}", reg.var_off.text());
  }
  log_.print(" should have been in {}\n", range.text());
}

}  // namespace bpfemu
