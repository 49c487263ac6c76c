// SPDX-License-Identifier: Apache-2.0
#include "emu/isa/interpreter.h"
#include "emu/jit/emitter.h"
#include "emu/runtime/maps/prog_array.h"
#include "emu/runtime/packet_load.h"
#include "emu/runtime/passing.h"

namespace bpfemu {

using namespace Xbyak;

namespace {
// Offset of the slots in a prog array: they follow the head.
constexpr u32 kSlots = sizeof(Map);
static_assert(sizeof(ProgArray) == kSlots && kSlots % 8 == 0);
}  // namespace

// From anywhere in the code: the answer must not change from pass to pass.
bool Emitter::reachable(u64 target) const {
  constexpr s64 kReach = s64{7} << 28;
  const s64 distance = static_cast<s64>(target - address_);
  return distance > -kReach && distance < kReach;
}

// R1 to R5 are where the ABI wants them; the Run is the sixth argument.
void Emitter::call_native(HelperFn target) {
  if (!target) return refuse();
  mov(r9, r12);
  call_address(reinterpret_cast<u64>(target));
}

// The same by way of who tells of it: two more arguments, on the stack.
void Emitter::call_told(HelperFn target, s32 function) {
  mov(r9, r12);
  push(function);
  mov(rax, reinterpret_cast<u64>(target));
  push(rax);
  call_address(reinterpret_cast<u64>(bpfemu_helper_called));
  add(rsp, 16);
}

void Emitter::call_address(u64 target) {
  if (reachable(target)) {
    db(0xe8);
    dd(static_cast<u32>(target - (address_ + getSize() + 4)));
  } else {
    mov(rax, target);
    call(rax);
  }
}

void Emitter::call_offset(u32 target) {
  db(0xe8);
  dd(target - (static_cast<u32>(getSize()) + 4));
}

void Emitter::emit_call_helper(const Insn& insn, const OpcodeInfo&) {
  const Map* map = input_.called_maps.empty() ? nullptr : input_.called_maps[current_];
  const auto replaced = map ? map_call(insn.imm) : std::nullopt;
  if (!replaced || !emit_map_call(*replaced, *map)) {
    const HelperFn target = input_.helper ? input_.helper(static_cast<u32>(insn.imm)) : nullptr;
    const bool told = target && input_.told_helper && !replaced;
    const s32 function = told ? input_.told_helper(static_cast<u32>(insn.imm)) : -1;
    function < 0 ? call_native(target) : call_told(target, function);
  }
  if (replaced && returns_int(*replaced)) mov(eax, eax);
}

void Emitter::emit_call_kernel(const Insn& insn, const OpcodeInfo&) {
  call_native(input_.kfunc ? input_.kfunc(static_cast<u32>(insn.imm), insn.off) : nullptr);
}

// Tail calls count downwards only: what the callee makes is not the caller's (kernel: tail_call_cnt is copied to the
// callee's frame).
void Emitter::emit_call_subprogram(const Insn& insn, const OpcodeInfo&) {
  const u32 target = previous_.functions[subprogram_at(static_cast<s64>(current_) + 1 + insn.imm)];
  if (!counts_tail_calls_) return call_offset(target);
  push(qword[r12 + offsetof(Run, tail_calls)]);
  sub(rsp, 8);
  call_offset(target);
  add(rsp, 8);
  pop(r11);
  mov(dword[r12 + offsetof(Run, tail_calls)], r11d);
}

// bpf_tail_call(R1 context, R2 array, R3 index): leaves this frame for the target, or falls through (kernel:
// emit_bpf_tail_call_indirect).
void Emitter::emit_tail_call(const Insn&, const OpcodeInfo&) {
  if (input_.apart) return refuse();
  Label out;
  mov(edx, edx);
  cmp(dword[rsi + offsetof(Map, max_entries)], edx);
  jbe(out, T_SHORT);
  cmp(dword[r12 + offsetof(Run, tail_calls)], kMaxTailCalls);
  jae(out, T_SHORT);
  inc(dword[r12 + offsetof(Run, tail_calls)]);
  mov(r11, qword[rsi + rdx * 8 + kSlots]);
  test(r11, r11);
  jz(out, T_SHORT);
  restore_frame();
  jmp(qword[r11 + offsetof(ProgramText, tail_call_entry)]);
  L(out);
}

// The address that a helper gets to call.
void Emitter::emit_load_function(const Insn& insn, const OpcodeInfo&) {
  const u32 target = previous_.callbacks[subprogram_at(static_cast<s64>(current_) + 1 + insn.imm)];
  constexpr u32 kLength = 7;
  lea(reg(insn.dst_reg), ptr[rip + static_cast<int>(target - (static_cast<u32>(getSize()) + kLength))]);
}

void Emitter::emit_load_packet(const Insn& insn, const OpcodeInfo& info) {
  if (input_.apart) return refuse();
  Label loaded;
  if (BPF_MODE(insn.code) == BPF_ABS)
    mov(esi, static_cast<u32>(insn.imm));
  else
    lea(esi, ptr[reg(insn.src_reg) + static_cast<size_t>(s64{insn.imm})]);
  mov(rdi, reg(6));
  mov(edx, info.access_size());
  call_native(packet_load);
  test(rax, rax);
  jns(loaded, T_SHORT);
  xor_(eax, eax);
  jump_to(previous_.exits[current_function_], -1);
  L(loaded);
}

}  // namespace bpfemu
