// SPDX-License-Identifier: Apache-2.0
// Interpreter and JIT against what a real kernel computed: tests/isa/golden.txt, written by tests/isa/record.c.
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/unit/jit/fixture.h"

namespace bpfemu::test {
namespace {

// The second operands that the recorder used.
constexpr u64 kEdges[] = {0, 1, 0x7f, 0xffffffff, 0x80000000, 0x123456789abcdef0, 0x8000000000000000, ~u64{0}};

const OpcodeInfo* find(const std::string& name) {
  for (const OpcodeInfo& info : opcodes())
    if (name == info.name) return &info;
  return nullptr;
}

// As the recorder's: operands at 0 and 8 of the context, R0 at 16; results at 24, 32, 40. Other registers than there.
Program program(const OpcodeInfo& info, s32 imm) {
  auto access = [](u8 kind, u32 reg, s16 off) {
    const bool store = kind == BPF_STX;
    return Insn{static_cast<u8>(kind | BPF_MEM | BPF_DW), static_cast<u8>((store ? 9 : reg) & 15),
                static_cast<u8>((store ? reg : 9) & 15), off, 0};
  };
  constexpr u8 kLeft = 7, kRight = 4;
  Insns insns{{BPF_ALU64 | BPF_MOV | BPF_X, 9, 1, 0, 0},
              access(BPF_LDX, kLeft, 0),
              access(BPF_LDX, kRight, 8),
              access(BPF_LDX, 0, 16),
              {BPF_STX | BPF_MEM | BPF_DW, 10, kLeft, -8, 0}};
  const bool atomic = BPF_CLASS(info.code) == BPF_STX;
  const bool jump = BPF_CLASS(info.code) == BPF_JMP || BPF_CLASS(info.code) == BPF_JMP32;
  const bool by_register = !info.immediate() && info.selector == OpcodeInfo::kAny;
  const u8 source = by_register ? kRight : 0;
  if (atomic) {
    insns.push_back({info.code, 10, kRight, -8, info.selected});
    insns.push_back({BPF_LDX | BPF_MEM | BPF_DW, kLeft, 10, -8, 0});
  } else if (jump) {
    insns.push_back({info.code, kLeft, source, 2, imm});
    insns.push_back({BPF_ALU64 | BPF_MOV | BPF_K, kLeft, 0, 0, 0});
    insns.push_back({BPF_JMP | BPF_JA, 0, 0, 1, 0});
    insns.push_back({BPF_ALU64 | BPF_MOV | BPF_K, kLeft, 0, 0, 1});
  } else {
    insns.push_back({info.code, kLeft, source, 0, imm});
  }
  insns.insert(insns.end(), {access(BPF_STX, kLeft, 24),
                             access(BPF_STX, kRight, 32),
                             access(BPF_STX, 0, 40),
                             {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}});
  return {std::move(insns), {0}, {8}};
}

std::string shown(const OpcodeInfo& info, const Outcome& outcome) {
  u64 values[3];
  std::memcpy(values, outcome.context.data() + 24, sizeof values);
  std::ostringstream text;
  text << std::hex << values[0];
  if (BPF_CLASS(info.code) == BPF_STX) text << "/" << values[1] << "/" << values[2];
  return text.str();
}

}  // namespace

TEST_CASE("interpreter and JIT compute what the kernel computes") {
  Fixture fixture;
  std::ifstream file(BPFEMU_ISA_GOLDEN);
  std::set<std::string> seen;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name, immediate, expected;
    u64 a = 0;
    words >> name >> immediate >> std::hex >> a;
    const OpcodeInfo* info = find(name);
    INFO(line);
    REQUIRE(info);
    seen.insert(name);
    const Program tested = program(*info, immediate == "-" ? 0 : static_cast<s32>(std::stol(immediate)));
    const bool atomic = BPF_CLASS(info->code) == BPF_STX;
    for (size_t i = 0; words >> expected; ++i) {
      REQUIRE(i < std::size(kEdges));
      const u64 b = kEdges[i], operands[] = {a, atomic ? ~b : b, b};
      Context context{};
      std::memcpy(context.data(), operands, sizeof operands);
      const auto interpreted = fixture.interpret(fixture.input(tested), context);
      const auto assembled = fixture.run(fixture.input(tested), context);
      REQUIRE(interpreted);
      REQUIRE(assembled);
      REQUIRE(shown(*info, *interpreted) == expected);
      REQUIRE(shown(*info, *assembled) == expected);
    }
  }
  // All arithmetic, conditions and atomics of the table.
  CHECK(seen.size() == 120);
}

}  // namespace bpfemu::test
