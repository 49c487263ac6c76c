// SPDX-License-Identifier: Apache-2.0
#include "emu/isa/interpreter.h"

#include <algorithm>
#include <array>
#include <utility>

#include "emu/arena/layout.h"
#include "emu/base/bytes.h"
#include "emu/isa/compute.h"
#include "emu/runtime/maps/prog_array.h"
#include "emu/runtime/packet_load.h"

namespace bpfemu {
namespace {

u64 read(u64 address, u32 size) {
  u64 value = 0;
  __builtin_memcpy(&value, reinterpret_cast<const void*>(address), size);
  return value;
}

void write(u64 address, u32 size, u64 value) {
  __builtin_memcpy(reinterpret_cast<void*>(address), &value, size);
}

class Machine {
 public:
  Machine(const Executable& input, Run* run, u64 budget) : input_(input), run_(run), budget_(budget) {}

  // Runs a subprogram to its exit. What stops the machine itself leaves the errno in error().
  u64 call(u32 subprogram, const std::array<u64, 5>& arguments);
  int error() const { return error_; }

 private:
  struct Frame {
    u64 regs[11] = {};
    std::vector<u64> stack;
    size_t pc = 0;
    bool done = false;
  };
  using Step = void (Machine::*)(Frame&, const Insn&, const OpcodeInfo&);
  static const Step kSteps[];

  u64 operand(const Frame& frame, const Insn& insn, const OpcodeInfo& info) const {
    return info.immediate() ? static_cast<u64>(s64{insn.imm}) : frame.regs[insn.src_reg];
  }
  void stop(Frame& frame, int error) {
    error_ = error_ ? error_ : error;
    finish(frame, 0);
  }
  void finish(Frame& frame, u64 result) {
    frame.regs[0] = result;
    frame.done = true;
  }
  // Runs `function` natively: it may come back through a trampoline.
  void call_native(Frame& frame, HelperFn function);
  // The number of the subprogram that starts `distance` instructions after the next one; -1 for none.
  int subprogram_at(const Frame& frame, s32 distance) const;

  // One function per form of the opcode table. `pc` already points to the next instruction.
  void alu(Frame&, const Insn&, const OpcodeInfo&);
  void mul(Frame& frame, const Insn& insn, const OpcodeInfo& info) { alu(frame, insn, info); }
  void div(Frame& frame, const Insn& insn, const OpcodeInfo& info) { alu(frame, insn, info); }
  void shift(Frame& frame, const Insn& insn, const OpcodeInfo& info) { alu(frame, insn, info); }
  void mov(Frame& frame, const Insn& insn, const OpcodeInfo& info) { alu(frame, insn, info); }
  void neg(Frame& frame, const Insn& insn, const OpcodeInfo& info) { alu(frame, insn, info); }
  void to_le(Frame&, const Insn&, const OpcodeInfo&);
  void to_be(Frame&, const Insn&, const OpcodeInfo&);
  void jump(Frame&, const Insn&, const OpcodeInfo&);
  void jump_if(Frame&, const Insn&, const OpcodeInfo&);
  void call_helper(Frame&, const Insn&, const OpcodeInfo&);
  void call_kernel(Frame&, const Insn&, const OpcodeInfo&);
  void call_subprogram(Frame&, const Insn&, const OpcodeInfo&);
  void tail_call(Frame&, const Insn&, const OpcodeInfo&);
  void exit(Frame&, const Insn&, const OpcodeInfo&);
  void load_imm64(Frame&, const Insn&, const OpcodeInfo&);
  void load_function(Frame&, const Insn&, const OpcodeInfo&);
  void load_packet(Frame&, const Insn&, const OpcodeInfo&);
  void load(Frame&, const Insn&, const OpcodeInfo&);
  void load_probe(Frame&, const Insn&, const OpcodeInfo&);
  void store_imm(Frame&, const Insn&, const OpcodeInfo&);
  void store_reg(Frame&, const Insn&, const OpcodeInfo&);
  void atomic(Frame&, const Insn&, const OpcodeInfo&);
  void atomic_fetch(Frame&, const Insn&, const OpcodeInfo&);
  void exchange(Frame&, const Insn&, const OpcodeInfo&);
  void compare_exchange(Frame&, const Insn&, const OpcodeInfo&);
  void no_speculation(Frame&, const Insn&, const OpcodeInfo&) {}

  const Executable& input_;
  Run* run_;
  u64 budget_;
  u32 depth_ = 0;
  int error_ = 0;
};

// clang-format off
const Machine::Step Machine::kSteps[] = {
#define OPCODE(name, code, selector, selected, operation, form, text) &Machine::form,
#include "emu/abi/opcodes.inc"
#undef OPCODE
};
// clang-format on

// Native entry points of subprograms, for helpers that take a callback.
template <u32 kSubprogram>
u64 trampoline(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run) {
  return reinterpret_cast<Machine*>(run->stack_base)->call(kSubprogram, {r1, r2, r3, r4, r5});
}

template <u32... kNumbers>
constexpr std::array<HelperFn, sizeof...(kNumbers)> trampolines(std::integer_sequence<u32, kNumbers...>) {
  return {trampoline<kNumbers>...};
}
constexpr auto kTrampolines = trampolines(std::make_integer_sequence<u32, kMaxSubprograms>());

u64 Machine::call(u32 subprogram, const std::array<u64, 5>& arguments) {
  Frame frame;
  if (error_) return 0;
  if (depth_ >= kMaxFrames * 2) return stop(frame, EINVAL), 0;
  frame.stack.resize(round_up(input_.stack_depths[subprogram], 8) / 8);
  frame.regs[10] = reinterpret_cast<u64>(frame.stack.data() + frame.stack.size());
  std::copy(arguments.begin(), arguments.end(), frame.regs + 1);
  frame.pc = input_.subprogram_starts[subprogram];

  ++depth_;
  while (!frame.done) {
    if (frame.pc >= input_.insns.size()) {
      stop(frame, EINVAL);
      break;
    }
    if (budget_ == 0) {
      stop(frame, ELOOP);
      break;
    }
    --budget_;
    const Insn& insn = input_.insns[frame.pc];
    const OpcodeInfo* info = decode(insn);
    ++frame.pc;
    if (!info || insn.dst_reg > 10 || (is_load_imm64(insn) && frame.pc >= input_.insns.size())) {
      stop(frame, EINVAL);
      break;
    }
    (this->*kSteps[static_cast<size_t>(info->opcode)])(frame, insn, *info);
  }
  --depth_;
  return frame.regs[0];
}

int Machine::subprogram_at(const Frame& frame, s32 distance) const {
  s64 start = static_cast<s64>(frame.pc) + distance;
  auto it = std::find(input_.subprogram_starts.begin(), input_.subprogram_starts.end(), start);
  return it == input_.subprogram_starts.end() ? -1 : static_cast<int>(it - input_.subprogram_starts.begin());
}

void Machine::alu(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  u64& to = frame.regs[insn.dst_reg];
  to = compute(info.operation, to, operand(frame, insn, info), info.wide());
}

void Machine::to_le(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  u64& to = frame.regs[insn.dst_reg];
  to = insn.imm == 16 ? static_cast<u16>(to) : insn.imm == 32 ? static_cast<u32>(to) : to;
}

void Machine::to_be(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  u64& to = frame.regs[insn.dst_reg];
  to = __builtin_bswap64(to) >> (64 - insn.imm);
}

void Machine::jump(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  frame.pc += static_cast<s64>(jump_distance(insn));
}

void Machine::jump_if(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  if (compute(info.operation, frame.regs[insn.dst_reg], operand(frame, insn, info), info.wide()))
    frame.pc += static_cast<s64>(insn.off);
}

void Machine::call_native(Frame& frame, HelperFn function) {
  u64* r = frame.regs;
  u64 outer = std::exchange(run_->stack_base, reinterpret_cast<u64>(this));
  r[0] = function(r[1], r[2], r[3], r[4], r[5], run_);
  run_->stack_base = outer;
  if (error_) frame.done = true;
}

void Machine::call_helper(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  HelperFn function = input_.helper ? input_.helper(static_cast<u32>(insn.imm)) : nullptr;
  function ? call_native(frame, function) : stop(frame, EINVAL);
}

void Machine::call_kernel(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  HelperFn function = input_.kfunc ? input_.kfunc(static_cast<u32>(insn.imm), insn.off) : nullptr;
  function ? call_native(frame, function) : stop(frame, EINVAL);
}

void Machine::call_subprogram(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  int subprogram = subprogram_at(frame, insn.imm);
  if (subprogram < 0) return stop(frame, EINVAL);
  const u64* r = frame.regs;
  u32 tail_calls = run_->tail_calls;
  frame.regs[0] = call(static_cast<u32>(subprogram), {r[1], r[2], r[3], r[4], r[5]});
  run_->tail_calls = tail_calls;
  if (error_) frame.done = true;
}

// Kernel: JMP_TAIL_CALL. The target is installed code, so the frame ends with what it returns.
void Machine::tail_call(Frame& frame, const Insn&, const OpcodeInfo&) {
  const auto* array = reinterpret_cast<const ProgArray*>(frame.regs[2]);
  u32 index = static_cast<u32>(frame.regs[3]);
  if (index >= array->max_entries || run_->tail_calls >= kMaxTailCalls) return;
  ++run_->tail_calls;
  const auto* target = reinterpret_cast<const ProgramText*>(array->slots[index]);
  if (!target) return;
  u32 tail_calls = run_->tail_calls;
  finish(frame, target->entry(run_, reinterpret_cast<void*>(frame.regs[1])));
  run_->tail_calls = tail_calls;
}

void Machine::exit(Frame& frame, const Insn&, const OpcodeInfo&) {
  frame.done = true;
}

void Machine::load_imm64(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  frame.regs[insn.dst_reg] = constant_of(&insn);
  ++frame.pc;
}

void Machine::load_function(Frame& frame, const Insn& insn, const OpcodeInfo&) {
  int subprogram = subprogram_at(frame, insn.imm);
  if (subprogram < 0 || static_cast<u32>(subprogram) >= kMaxSubprograms) return stop(frame, EINVAL);
  frame.regs[insn.dst_reg] = reinterpret_cast<u64>(kTrampolines[static_cast<u32>(subprogram)]);
  ++frame.pc;
}

void Machine::load_packet(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  u64* r = frame.regs;
  u64 offset = static_cast<u32>(insn.imm) + (BPF_MODE(insn.code) == BPF_IND ? r[insn.src_reg] : 0);
  u64 value = packet_load(r[6], offset, info.access_size(), 0, 0, run_);
  if (static_cast<s64>(value) < 0) return finish(frame, 0);
  r[0] = value;
}

void Machine::load(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  frame.regs[insn.dst_reg] = read(frame.regs[insn.src_reg] + static_cast<s64>(insn.off), info.access_size());
}

void Machine::load_probe(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  u64 address = frame.regs[insn.src_reg] + static_cast<s64>(insn.off);
  bool readable = address >= kArenaBase && address <= run_->env->arena_end - info.access_size();
  frame.regs[insn.dst_reg] = readable ? read(address, info.access_size()) : 0;
}

void Machine::store_imm(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  write(frame.regs[insn.dst_reg] + static_cast<s64>(insn.off), info.access_size(), static_cast<u64>(s64{insn.imm}));
}

void Machine::store_reg(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  write(frame.regs[insn.dst_reg] + static_cast<s64>(insn.off), info.access_size(), frame.regs[insn.src_reg]);
}

// The oracle runs alone: its atomics need not be.
void Machine::atomic(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  u64 address = frame.regs[insn.dst_reg] + static_cast<s64>(insn.off);
  u64 old = read(address, info.access_size());
  write(address, info.access_size(), compute(info.operation, old, frame.regs[insn.src_reg], true));
}

void Machine::atomic_fetch(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  u64 old = read(frame.regs[insn.dst_reg] + static_cast<s64>(insn.off), info.access_size());
  atomic(frame, insn, info);
  frame.regs[insn.src_reg] = old;
}

void Machine::exchange(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  u64 address = frame.regs[insn.dst_reg] + static_cast<s64>(insn.off);
  u64 old = read(address, info.access_size());
  write(address, info.access_size(), frame.regs[insn.src_reg]);
  frame.regs[insn.src_reg] = old;
}

void Machine::compare_exchange(Frame& frame, const Insn& insn, const OpcodeInfo& info) {
  u64 address = frame.regs[insn.dst_reg] + static_cast<s64>(insn.off);
  u64 old = read(address, info.access_size());
  u64 expected = info.access_size() == 4 ? static_cast<u32>(frame.regs[0]) : frame.regs[0];
  if (old == expected) write(address, info.access_size(), frame.regs[insn.src_reg]);
  frame.regs[0] = old;
}

}  // namespace

Result<u64> interpret(const Executable& input, Run* run, void* context, u64 budget) {
  Machine machine(input, run, budget);
  run->tail_calls = 0;
  u64 result = machine.call(0, {reinterpret_cast<u64>(context), 0, 0, 0, 0});
  if (machine.error()) return fail(machine.error());
  return result;
}

}  // namespace bpfemu
