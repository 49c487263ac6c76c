// SPDX-License-Identifier: Apache-2.0
// The JIT opcode by opcode, and what random programs rarely meet.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "emu/arena/layout.h"
#include "emu/isa/compute.h"
#include "emu/isa/interpreter.h"
#include "tests/unit/jit/fixture.h"

namespace bpfemu::test {
namespace {

constexpr u64 kEdges[] = {0,
                          1,
                          2,
                          3,
                          0x7f,
                          0x80,
                          0xff,
                          0x7fff,
                          0x8000,
                          0x7fffffff,
                          0x80000000,
                          0xffffffff,
                          0x100000000,
                          0x123456789abcdef0,
                          0x7fffffffffffffff,
                          0x8000000000000000,
                          0xfffffffffffffffe,
                          ~u64{0}};
constexpr s32 kImmediates[] = {0, 1, 7, 31, 127, 128, -1, -128, -129, 0x7fffffff, static_cast<s32>(0x80000000)};
constexpr Insn kExit{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};

Insn insn(u32 code, u32 dst, u32 src, s16 off, s32 imm) {
  return {static_cast<u8>(code), static_cast<u8>(dst & 15), static_cast<u8>(src & 15), off, imm};
}
Insn mov(u32 dst, s32 imm) {
  return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
Insn load(u32 dst, s16 off) {
  return insn(BPF_LDX | BPF_MEM | BPF_DW, dst, 9, off, 0);
}
Insn store(s16 off, u32 src) {
  return insn(BPF_STX | BPF_MEM | BPF_DW, 9, src, off, 0);
}

Program single(Insns insns, u16 stack = 0) {
  return {std::move(insns), {0}, {stack}};
}

bool is_arithmetic(const OpcodeInfo& info) {
  return BPF_CLASS(info.code) == BPF_ALU || BPF_CLASS(info.code) == BPF_ALU64;
}
bool is_condition(const OpcodeInfo& info) {
  return (BPF_CLASS(info.code) == BPF_JMP || BPF_CLASS(info.code) == BPF_JMP32) && info.operation != Operation::none;
}

bool is_shift(const OpcodeInfo& info) {
  return info.operation == Operation::lsh || info.operation == Operation::rsh || info.operation == Operation::arsh;
}

// Loads the operands from the context, runs `tested`, stores every register. For a jump R0 tells whether it was taken.
Program around(const Insn& tested, bool jumps) {
  Insns insns{insn(BPF_ALU64 | BPF_MOV | BPF_X, 9, 1, 0, 0)};
  for (u32 r = 0; r <= 8; ++r) insns.push_back(mov(r, static_cast<s32>(1000 + r)));
  insns.push_back(load(tested.src_reg, 8));
  insns.push_back(load(tested.dst_reg, 0));
  insns.push_back(tested);
  if (jumps) {
    insns.back().off = 2;
    insns.push_back(insn(BPF_ST | BPF_MEM | BPF_DW, 9, 0, 120, 1));
    insns.push_back(insn(BPF_JMP | BPF_JA, 0, 0, 1, 0));
    insns.push_back(insn(BPF_ST | BPF_MEM | BPF_DW, 9, 0, 120, 2));
  }
  for (u32 r = 0; r <= 8; ++r) insns.push_back(store(static_cast<s16>(16 + 8 * r), r));
  insns.push_back(kExit);
  return single(std::move(insns));
}

Context operands(u64 a, u64 b) {
  Context context{};
  std::memcpy(context.data(), &a, 8);
  std::memcpy(context.data() + 8, &b, 8);
  return context;
}

u64 word(const Outcome& outcome, size_t at) {
  u64 value;
  std::memcpy(&value, outcome.context.data() + at, 8);
  return value;
}

// The destination (or the way taken) is what the operation computes.
bool computes(const OpcodeInfo& info, const Insn& tested, u64 a, u64 b, const Outcome& got) {
  if (info.operation == Operation::none) return true;  // byte order: the interpreter's word is enough
  const u64 right = info.immediate() ? static_cast<u64>(s64{tested.imm}) : tested.dst_reg == tested.src_reg ? a : b;
  const u64 expected = compute(info.operation, a, right, info.wide());
  return is_condition(info) ? word(got, 120) == 1 + expected : word(got, 16 + 8 * tested.dst_reg) == expected;
}

// `tested` on all edge values; every other register must be as it was.
void check_on_edges(Fixture& fixture, const OpcodeInfo& info, const Insn& tested, bool bmi2) {
  const Program program = around(tested, is_condition(info));
  const Executable input = fixture.input(program, bmi2);
  const auto rights = info.immediate() ? std::span(kEdges).first(1) : std::span(kEdges);
  REQUIRE(fixture.compile(input));
  for (u64 a : kEdges) {
    for (u64 b : rights) {
      const Context context = operands(a, b);
      const Outcome got = fixture.call(context);
      const auto expected = fixture.interpret(input, context);
      if (expected && got.context == expected->context && computes(info, tested, a, b, got)) continue;
      FAIL(info.name << " dst r" << u32{tested.dst_reg} << " src r" << u32{tested.src_reg} << " imm " << tested.imm
                     << " on " << a << ", " << b << " bmi2 " << bmi2);
    }
  }
}

}  // namespace

TEST_CASE("arithmetic and conditions on edge values, in every register") {
  Fixture fixture;
  for (const OpcodeInfo& info : opcodes()) {
    if (!is_arithmetic(info) && !is_condition(info)) continue;
    const s32 order[] = {info.selected};
    for (u32 dst = 0; dst <= 8; ++dst) {
      if (info.immediate() || info.selector == OpcodeInfo::kImm) {
        const auto immediates =
            info.selector == OpcodeInfo::kImm ? std::span<const s32>(order) : std::span<const s32>(kImmediates);
        for (s32 imm : immediates) check_on_edges(fixture, info, insn(info.code, dst, 0, 0, imm), true);
        continue;
      }
      // All pairs would take long: those with special registers (R0, R3 in divisions, R4 in shifts), the pair with
      // itself, and one more.
      for (u32 src : {0u, 3u, 4u, dst, (dst + 5) % 9}) {
        check_on_edges(fixture, info, insn(info.code, dst, src, 0, 0), true);
        if (is_shift(info)) check_on_edges(fixture, info, insn(info.code, dst, src, 0, 0), false);
      }
    }
  }
}

TEST_CASE("jumps reach near and far, forwards and backwards") {
  Fixture fixture;
  for (u32 distance : {1u, 20u, 29u, 30u, 31u, 32u, 33u, 40u, 127u, 1000u, 30000u}) {
    // Forwards over `distance` additions and back to them, once.
    Insns insns{mov(0, 0), mov(2, 0), insn(BPF_JMP | BPF_JA, 0, 0, static_cast<s16>(distance + 1), 0)};
    for (u32 i = 0; i < distance; ++i) insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1));
    insns.push_back(kExit);
    insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1000000));
    insns.push_back(insn(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, static_cast<s16>(-static_cast<s32>(distance) - 3), 0));
    insns.push_back(kExit);
    const Program program = single(std::move(insns));
    const auto got = fixture.run(fixture.input(program), {});
    REQUIRE(got);
    CHECK(got->result == 1000000 + distance);
  }
}

TEST_CASE("tail calls end at the limit and at empty slots") {
  Fixture fixture;
  ProgArray& array = fixture.prog_array();
  const u64 address = reinterpret_cast<u64>(&array);
  // Counts in the context, calls itself, returns the count when it falls through.
  auto counting = [&](s32 slot) {
    return Insns{insn(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
                 insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 6, 0, 0),
                 insn(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1),
                 insn(BPF_STX | BPF_MEM | BPF_DW, 6, 0, 0, 0),
                 insn(BPF_LD | BPF_IMM | BPF_DW, 2, 0, 0, static_cast<s32>(address)),
                 insn(0, 0, 0, 0, static_cast<s32>(address >> 32)),
                 mov(3, slot),
                 insn(BPF_JMP | kTailCall, 0, 0, 0, 0),
                 insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 6, 0, 0),
                 kExit};
  };
  const Program itself = single(counting(0), 32);
  array.slots[0] = reinterpret_cast<u64>(fixture.install(itself));
  auto got = fixture.run(fixture.input(itself), {});
  REQUIRE(got);
  CHECK(got->result == kMaxTailCalls + 1);
  // A second run starts anew.
  CHECK(fixture.run(fixture.input(itself), {})->result == kMaxTailCalls + 1);

  for (s32 slot : {2, 3, -1}) {
    const Program none = single(counting(slot));
    CHECK(fixture.run(fixture.input(none), {})->result == 1);
  }

  // From a subprogram: the target's result is what the caller gets, and the caller's own count goes on from where it
  // was.
  Program caller{
      {insn(BPF_ALU64 | BPF_MOV | BPF_X, 7, 1, 0, 0), insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 3),
       insn(BPF_ALU64 | BPF_MOV | BPF_X, 1, 7, 0, 0), insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1), kExit},
      {0, 5},
      {16, 64}};
  const Insns callee = counting(0);
  caller.insns.insert(caller.insns.end(), callee.begin(), callee.end());
  CHECK(fixture.run(fixture.input(caller), {})->result == 2 * (kMaxTailCalls + 1));
}

TEST_CASE("what cannot be assembled is refused") {
  Fixture fixture;
  auto error = [&](Insns insns) {
    const Program program = single(std::move(insns));
    const auto got = jit_compile(fixture.input(program), 0x10000);
    return got ? 0 : got.error().value;
  };
  CHECK(error({kExit}) == 0);
  CHECK(error({{0xff, 0, 0, 0, 0}, kExit}) == EINVAL);
  CHECK(error({insn(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 0, 0, BPF_SUB), kExit}) == EINVAL);
  CHECK(error({insn(BPF_JMP | BPF_JA, 0, 0, 1, 0), kExit}) == EINVAL);
  CHECK(error({insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, -2, 0), kExit}) == EINVAL);
  CHECK(error({insn(BPF_JMP | BPF_CALL, 0, 0, 0, 12345), kExit}) == EINVAL);
  CHECK(error({insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 5), kExit}) == EINVAL);
  CHECK(error({insn(BPF_LD | BPF_IMM | BPF_DW, 0, 0, 0, 5)}) == EINVAL);
  CHECK(error({insn(BPF_ALU64 | BPF_MOV | BPF_X, 11, 0, 0, 0), kExit}) == EINVAL);
}

// tests/isa/jit_sizes.txt: bytes of code for each opcode, so that a change of what the JIT emits shows in review.
// BPFEMU_RECORD=1 writes it anew.
TEST_CASE("code is as long as recorded") {
  Fixture fixture;
  std::string listing;
  for (const OpcodeInfo& info : opcodes()) {
    const bool to_itself = info.opcode == Opcode::call_subprogram || info.opcode == Opcode::ld_func;
    Insn tested = insn(info.code, 1, 2, 0, 100);
    if (info.immediate() && BPF_CLASS(info.code) != BPF_LD) tested.src_reg = 0;
    if (BPF_CLASS(info.code) == BPF_LDX || BPF_CLASS(info.code) == BPF_STX) tested.src_reg = 2, tested.off = 16;
    if (info.selector == OpcodeInfo::kImm) tested.imm = info.selected;
    if (info.selector == OpcodeInfo::kSource) tested.src_reg = static_cast<u8>(info.selected & 15);
    if (info.opcode == Opcode::call_helper) tested.imm = static_cast<s32>(fixture.surroundings().hash_helper);
    if (info.opcode == Opcode::call_kernel) tested.imm = static_cast<s32>(fixture.surroundings().kernel_function);
    if (to_itself) tested.imm = -1;
    if (is_condition(info) || info.opcode == Opcode::ja) tested.off = 1;
    if (info.opcode == Opcode::ja32) tested.imm = 1;
    Insns insns{tested};
    if (is_load_imm64(tested)) insns.push_back(insn(0, 0, 0, 0, 1));
    insns.push_back(mov(0, 0));
    insns.push_back(kExit);
    const Program program = single(std::move(insns));
    const auto output = jit_compile(fixture.input(program), kArenaBase);
    INFO(info.name);
    REQUIRE(output);
    listing += std::string(info.name) + " " +
               std::to_string(output->insn_offsets[is_load_imm64(tested) ? 2 : 1] - output->insn_offsets[0]) + "\n";
  }
  if (std::getenv("BPFEMU_RECORD")) std::ofstream(BPFEMU_JIT_SIZES) << listing;
  std::ifstream file(BPFEMU_JIT_SIZES);
  const std::string recorded{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  CHECK(listing == recorded);
}

}  // namespace bpfemu::test
