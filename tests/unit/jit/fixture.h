// SPDX-License-Identifier: Apache-2.0
// A piece of arena and all that test programs may reach: runs the same program by interpreter and by JIT.
#pragma once

#include <array>

#include "emu/base/result.h"
#include "emu/runtime/contexts.h"
#include "emu/runtime/maps/prog_array.h"
#include "tests/unit/jit/random_program.h"

namespace bpfemu::test {

inline constexpr u64 kContextSize = 256;
using Context = std::array<u8, kContextSize>;

struct Outcome {
  u64 result = 0;
  Context context{};
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

class Fixture {
 public:
  Fixture();
  ~Fixture();
  Fixture(const Fixture&) = delete;

  Surroundings surroundings() const;
  Executable input(const Program& program, bool bmi2 = true) const;
  static Context random_context(u64 seed);
  // By the interpreter, and by the JIT.
  Result<Outcome> interpret(const Executable& input, const Context& context);
  Result<Outcome> run(const Executable& input, const Context& context);
  // The JIT's way in two steps, for many calls of one program.
  Result<void> compile(const Executable& input);
  Outcome call(const Context& context);
  Run& runtime() { return run_; }
  // Code of the last run.
  const JitOutput& output() const { return output_; }
  ProgArray& prog_array() { return *prog_array_; }
  // Compiles a program for keeps, to be called or put in the prog array.
  ProgramText* install(const Program& program);

 private:
  void start_with(const Context& context);
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
