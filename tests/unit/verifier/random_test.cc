// SPDX-License-Identifier: Apache-2.0
// Random programs: whatever they are, the verifier comes to an end, and to the same one whether it logs or not.
#include <catch2/catch.hpp>
#include <random>

#include "emu/isa/opcode.h"
#include "program.h"

using namespace bpfemu;

namespace {

class Programs {
 public:
  explicit Programs(u64 seed) : engine_(seed) {}

  Insns next() {
    Insns insns{mov(0, 0), copy(6, 1)};
    size_t length = 2 + pick(30);
    while (insns.size() < length) append(insns);
    insns.push_back(mov(0, 0));
    insns.push_back(leave());
    return insns;
  }
  u64 pick(u64 limit) { return engine_() % limit; }

 private:
  u8 reg() { return static_cast<u8>(pick(20) ? pick(11) : pick(16)); }
  s16 stack() { return static_cast<s16>(-static_cast<s16>(8 * (1 + pick(8)))); }
  s16 forward() { return static_cast<s16>(pick(12) ? pick(4) : -static_cast<s16>(pick(6))); }
  s32 constant() {
    s32 n = static_cast<s32>(engine_());
    return pick(3) ? n % 64 : n;
  }

  void append(Insns& insns) {
    static constexpr u8 kAlu[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR,  BPF_AND,
                                  BPF_LSH, BPF_RSH, BPF_XOR, BPF_MOV, BPF_ARSH};
    static constexpr u8 kJumps[] = {BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JGE, BPF_JLT, BPF_JLE, BPF_JSGT, BPF_JSLE, BPF_JSET};
    static constexpr u32 kHelpers[] = {BPF_FUNC_ktime_get_ns, BPF_FUNC_get_prandom_u32, BPF_FUNC_get_smp_processor_id};
    u8 alu = static_cast<u8>((pick(2) ? BPF_ALU64 : BPF_ALU) | kAlu[pick(std::size(kAlu))]);
    u8 branch = static_cast<u8>((pick(3) ? BPF_JMP : BPF_JMP32) | kJumps[pick(std::size(kJumps))]);
    u8 size = static_cast<u8>(pick(4) << 3);
    switch (pick(9)) {
      case 0: insns.push_back(op(alu | BPF_K, reg(), 0, 0, constant())); break;
      case 1: insns.push_back(op(alu | BPF_X, reg(), reg(), 0, 0)); break;
      case 2: insns.push_back(op(branch | BPF_K, reg(), 0, forward(), constant())); break;
      case 3: insns.push_back(op(branch | BPF_X, reg(), reg(), forward(), 0)); break;
      case 4: insns.push_back(store(size, 10, reg(), stack())); break;
      case 5:
        insns.push_back(load(size, reg(), pick(2) ? 10 : reg(), pick(2) ? stack() : static_cast<s16>(pick(64))));
        break;
      case 6: insns.push_back(call(kHelpers[pick(std::size(kHelpers))])); break;
      case 7: insns.push_back(pick(4) ? mov(reg(), constant()) : call_own(static_cast<s32>(pick(8)))); break;
      default:
        // Anything at all.
        insns.push_back(op(static_cast<u8>(engine_()), reg(), reg(), forward(), constant()));
    }
  }

  std::mt19937_64 engine_;
};

}  // namespace

TEST_CASE("random programs") {
  Programs programs(1);
  int accepted = 0;
  for (int i = 0; i < 5000; ++i) {
    Insns insns = programs.next();
    Capabilities caps = programs.pick(3) ? kRoot : kNobody;
    auto logged = check(insns, {.caps = caps});
    auto quiet = check(insns, {.caps = caps, .level = 4});
    INFO("program " << i);
    REQUIRE(logged.error == quiet.error);
    REQUIRE(logged.processed() == quiet.processed());
    REQUIRE(logged.error != EFAULT);
    accepted += logged.error == 0;
  }
  CHECK(accepted > 20);
}
