// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/events/program.h"

#include <asm/ptrace.h>

#include <cstddef>

namespace events {
namespace {

// What registers hold through the whole program.
constexpr u8 kContext = BPF_REG_6, kRecord = BPF_REG_7, kPointer = BPF_REG_8, kStep = BPF_REG_9;
// Where a helper leaves a word on the stack.
constexpr int kWord = -8;

class Code {
 public:
  void emit(u8 code, u8 dst, u8 src, int off, int imm) {
    code_.push_back({.code = code, .dst_reg = dst, .src_reg = src, .off = static_cast<int16_t>(off), .imm = imm});
  }
  void move(u8 dst, u8 src) { emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
  void set(u8 dst, u32 number) { emit(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, static_cast<int>(number)); }
  void alu(u8 operation, u8 dst, u32 number) {
    emit(BPF_ALU64 | operation | BPF_K, dst, 0, 0, static_cast<int>(number));
  }
  void load(u8 dst, u8 src, u32 offset, u8 size = BPF_DW) {
    emit(BPF_LDX | BPF_MEM | size, dst, src, static_cast<int>(offset), 0);
  }
  void store(u8 dst, u32 offset, u8 src, u8 size = BPF_DW) {
    emit(BPF_STX | BPF_MEM | size, dst, src, static_cast<int>(offset), 0);
  }
  void call(int helper) { emit(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  void load_map(u8 dst, int map, u8 kind) {
    emit(BPF_LD | BPF_DW | BPF_IMM, dst, kind, 0, map);
    emit(0, 0, 0, 0, 0);
  }
  // Leaves the program when the comparison holds.
  void leave_if(u8 comparison, u8 reg, u32 number) {
    leaving_.push_back(code_.size());
    emit(BPF_JMP | comparison | BPF_K, reg, 0, 0, static_cast<int>(number));
  }
  // The place of a jump over what follows, for land().
  size_t jump_if(u8 comparison, u8 reg, u32 number) {
    emit(BPF_JMP | comparison | BPF_K, reg, 0, 0, static_cast<int>(number));
    return code_.size() - 1;
  }
  void land(size_t jump) { code_[jump].off = static_cast<int16_t>(code_.size() - jump - 1); }
  // pointer := what stands at pointer + offset, read by a helper: 0 where there is nothing.
  void read(u8 dst, u8 pointer, u32 offset, u32 size) {
    move(BPF_REG_3, pointer);
    alu(BPF_ADD, BPF_REG_3, offset);
    move(BPF_REG_1, BPF_REG_10);
    alu(BPF_ADD, BPF_REG_1, static_cast<u32>(kWord));
    emit(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, kWord, 0);
    set(BPF_REG_2, size);
    call(BPF_FUNC_probe_read_kernel);
    emit(BPF_LDX | BPF_MEM | BPF_DW, dst, BPF_REG_10, kWord, 0);
  }
  std::vector<bpf_insn> finish() {
    for (const size_t jump : leaving_) land(jump);
    set(BPF_REG_0, 0);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    return code_;
  }

 private:
  std::vector<bpf_insn> code_;
  std::vector<size_t> leaving_;
};

u8 width(u32 size) { return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW; }

// The words of a trampoline's or raw tracepoint's context, the registers of a probe's.
bool has_words(Way way) { return way & (kFentry | kFexit | kLsm | kRaw); }
bool has_types(Way way) { return way & (kFentry | kFexit | kLsm | kTpBtf); }

u32 register_of(u32 argument) {
  static constexpr size_t kRegisters[] = {offsetof(pt_regs, rdi), offsetof(pt_regs, rsi), offsetof(pt_regs, rdx),
                                          offsetof(pt_regs, rcx), offsetof(pt_regs, r8),  offsetof(pt_regs, r9)};
  return static_cast<u32>(kRegisters[argument]);
}

void begin_value(Code& code, const Value& value, Way way, u32 arguments) {
  switch (value.base) {
    case Value::Base::kArgument:
      code.load(kPointer, kContext, has_words(way) ? 8 * value.argument : register_of(value.argument));
      break;
    case Value::Base::kReturn:
      code.load(kPointer, kContext, has_words(way) ? 8 * arguments : static_cast<u32>(offsetof(pt_regs, rax)));
      break;
    case Value::Base::kCurrent:
      code.call(has_types(way) ? BPF_FUNC_get_current_task_btf : BPF_FUNC_get_current_task);
      code.move(kPointer, BPF_REG_0);
      break;
    case Value::Base::kField:
      if (value.kind == Value::Kind::kNumber || value.through_pointer) {
        code.load(kPointer, kContext, value.offsets[0], width(value.size));
      } else if (value.data_loc) {
        code.load(BPF_REG_1, kContext, value.offsets[0], BPF_W);
        code.alu(BPF_AND, BPF_REG_1, 0xffff);
        code.move(kPointer, kContext);
        code.emit(BPF_ALU64 | BPF_ADD | BPF_X, kPointer, BPF_REG_1, 0, 0);
      } else {
        code.move(kPointer, kContext);
        code.alu(BPF_ADD, kPointer, value.offsets[0]);
      }
      break;
  }
}

// kPointer is what the last step but `remaining` leads to.
void follow(Code& code, const Value& value, Way way, size_t remaining) {
  if (value.base == Value::Base::kField) return;
  for (size_t i = 0; i + remaining < value.offsets.size(); ++i) {
    if (has_types(way) && i < value.known_steps) code.load(kPointer, kPointer, value.offsets[i]);
    else code.read(kPointer, kPointer, value.offsets[i], 8);
  }
}

void take_number(Code& code, const Value& value, Way way, u32 slot) {
  follow(code, value, way, 1);
  if (!value.offsets.empty() && value.base != Value::Base::kField) {
    const u32 last = value.offsets.back();
    if (has_types(way) && value.offsets.size() - 1 < value.known_steps)
      code.load(kPointer, kPointer, last, width(value.size));
    else code.read(kPointer, kPointer, last, value.size);
  }
  code.store(kRecord, slot, kPointer);
}

void take_text(Code& code, const Value& value, Way way, u32 slot) {
  follow(code, value, way, value.through_pointer ? 0 : 1);
  code.move(BPF_REG_3, kPointer);
  if (!value.through_pointer && value.base != Value::Base::kField) code.alu(BPF_ADD, BPF_REG_3, value.offsets.back());
  code.move(BPF_REG_1, kRecord);
  code.alu(BPF_ADD, BPF_REG_1, slot);
  code.set(BPF_REG_2, Value::kTextSize);
  code.call(value.kind == Value::Kind::kUserText ? BPF_FUNC_probe_read_user_str : BPF_FUNC_probe_read_kernel_str);
}

// Leaves unless a step is under way and it is the workload, one of its threads or its children that runs.
void look_who_runs(Code& code, const Target& target, bool in_any_task) {
  code.load_map(BPF_REG_1, target.step_map, BPF_PSEUDO_MAP_VALUE);
  code.load(kStep, BPF_REG_1, 0, BPF_W);
  code.leave_if(BPF_JEQ, kStep, 0);
  code.call(BPF_FUNC_get_current_pid_tgid);
  code.move(kPointer, BPF_REG_0);
  if (in_any_task) return;
  code.alu(BPF_RSH, BPF_REG_0, 32);
  const size_t is_root = code.jump_if(BPF_JEQ, BPF_REG_0, target.root);
  code.call(BPF_FUNC_get_current_task);
  code.read(BPF_REG_1, BPF_REG_0, target.real_parent, 8);
  code.read(BPF_REG_1, BPF_REG_1, target.tgid, 4);
  code.leave_if(BPF_JNE, BPF_REG_1, target.root);
  code.land(is_root);
}

}  // namespace

std::vector<bpf_insn> make_program(const Target& target, u32 listener, const Question& question) {
  const auto& [way, values, arguments, in_any_task] = question;
  u32 size = sizeof(RecordHead);
  for (const Value& value : values) size += value.slot();
  Code code;
  code.move(kContext, BPF_REG_1);
  look_who_runs(code, target, in_any_task);
  code.load_map(BPF_REG_1, target.ring, BPF_PSEUDO_MAP_FD);
  code.set(BPF_REG_2, size);
  code.set(BPF_REG_3, 0);
  code.call(BPF_FUNC_ringbuf_reserve);
  code.leave_if(BPF_JEQ, BPF_REG_0, 0);
  code.move(kRecord, BPF_REG_0);
  code.emit(BPF_ST | BPF_MEM | BPF_W, kRecord, 0, offsetof(RecordHead, listener), static_cast<int>(listener));
  code.store(kRecord, offsetof(RecordHead, step), kStep, BPF_W);
  code.store(kRecord, offsetof(RecordHead, pid), kPointer, BPF_W);
  code.alu(BPF_RSH, kPointer, 32);
  code.store(kRecord, offsetof(RecordHead, tgid), kPointer, BPF_W);
  u32 slot = sizeof(RecordHead);
  for (const Value& value : values) {
    begin_value(code, value, way, arguments);
    if (value.slot() == 8) take_number(code, value, way, slot);
    else take_text(code, value, way, slot);
    slot += value.slot();
  }
  code.move(BPF_REG_1, kRecord);
  code.set(BPF_REG_2, 0);
  code.call(BPF_FUNC_ringbuf_submit);
  return code.finish();
}

}  // namespace events
