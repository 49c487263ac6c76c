// SPDX-License-Identifier: Apache-2.0
// A piece of arena and all that test programs may reach: runs the same program by interpreter and by JIT.
#pragma once

#include <array>

#include "emu/base/result.h"
#include "emu/bpf/contexts.h"
#include "emu/bpf/maps/prog_array.h"
#include "tests/unit/jit/random_program.h"

namespace bpfemu::test {

inline constexpr u64 kContextSize = 256;

struct Outcome {
  u64 result = 0;
  std::array<u8, kContextSize> context{};
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

class Fixture {
 public:
  Fixture();
  ~Fixture();
  Fixture(const Fixture&) = delete;

  Surroundings surroundings() const;
  JitInput input(const Program& program, bool bmi2 = true) const;
  // Both start with a context filled from `seed`.
  Result<Outcome> interpret(const JitInput& input, u64 seed);
  Result<Outcome> run(const JitInput& input, u64 seed);
  Run& runtime() { return run_; }
  // Code of the last run.
  const JitOutput& output() const { return output_; }
  ProgArray& prog_array() { return *prog_array_; }
  // Compiles a program for keeps, to be called or put in the prog array.
  ProgramText* install(const Program& program);

 private:
  void fill_context(u64 seed);
  Outcome outcome(u64 result) const;

  Env env_{};
  Run run_{};
  u8* context_ = nullptr;
  RunSkb* skb_ = nullptr;
  ProgArray* prog_array_ = nullptr;
  u8* code_ = nullptr;
  u64 installed_ = 0;
  JitOutput output_;
};

}  // namespace bpfemu::test
