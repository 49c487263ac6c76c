// SPDX-License-Identifier: Apache-2.0
// The JIT against the interpreter on random programs. BPFEMU_JIT_FUZZ=N runs N programs instead of the default;
// BPFEMU_JIT_SEED=S starts at seed S.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "emu/isa/disasm.h"
#include "emu/isa/interpreter.h"
#include "tests/unit/jit/fixture.h"
#include "tests/unit/jit/random_program.h"

namespace bpfemu::test {
namespace {

u64 from_environment(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::string listing(const Program& program) {
  std::string text;
  for (size_t i = 0; i < program.insns.size(); ++i) {
    text += std::to_string(i) + ": " + disassemble(program.insns, i, {}, true) + "\n";
    if (is_load_imm64(program.insns[i])) ++i;
  }
  return text;
}

}  // namespace

TEST_CASE("the JIT agrees with the interpreter on random programs") {
  Fixture fixture;
  const u64 count = from_environment("BPFEMU_JIT_FUZZ", 100000), first = from_environment("BPFEMU_JIT_SEED", 1);
  u64 finished = 0;
  for (u64 seed = first; seed < first + count; ++seed) {
    const Program program = RandomProgram(seed, fixture.surroundings()).generate();
    const Executable input = fixture.input(program, seed % 4 != 0);
    const Context context = Fixture::random_context(seed);
    const auto expected = fixture.interpret(input, context);
    if (!expected && expected.error().value == ELOOP) continue;
    const auto got = fixture.run(input, context);
    if (expected && got && *expected == *got) {
      ++finished;
      continue;
    }
    INFO("seed " << seed << "\n" << listing(program));
    REQUIRE(expected);
    REQUIRE(got);
    REQUIRE(got->context == expected->context);
    REQUIRE(got->result == expected->result);
  }
  // Programs whose loops multiply beyond the budget are few.
  REQUIRE(finished > count * 9 / 10);
}

}  // namespace bpfemu::test
