// SPDX-License-Identifier: Apache-2.0
// What is said of programs that are refused: the code, the places and their texts.
#include <fmt/format.h>
#include <linux/bpf.h>

#include <catch2/catch.hpp>

#include "emu/explain/report.h"
#include "tests/unit/verifier/maps.h"

using namespace bpfemu;

namespace {

Report report(Insns insns, const Asked& asked = {}) {
  VerifierWorld world;
  const LoadRequest request = request_of(std::move(insns), asked);
  const Rejection rejection = diagnose(world, request);
  REQUIRE(rejection.error != 0);
  return explain(rejection);
}

// "INSTRUCTION: TEXT" of each label.
using Said = std::vector<std::string>;
Said labels(const Report& report) {
  Said said;
  for (const Label& label : report.labels) said.push_back(fmt::format("{}: {}", label.at.line, label.text));
  return said;
}

}  // namespace

TEST_CASE("a pointer that may be NULL is followed to the call that gave it, through copies and spills") {
  Maps maps;
  const Asked asked{.maps = {maps.make(BPF_MAP_TYPE_HASH, 16, 1)}};
  const Report direct = report(after_lookup({load(BPF_DW, 1, 0, 0), mov(0, 0), leave()}), asked);
  CHECK(direct.code == Code::kMaybeNull);
  CHECK(labels(direct) == Said{"5: may be NULL: the result of bpf_map_lookup_elem()", "6: used here without a check"});
  CHECK(direct.verifier == "R0 invalid mem access 'map_value_or_null'");

  const Report spilled = report(after_lookup({copy(6, 0), store(BPF_DW, 10, 6, -16), mov(6, 1),
                                              load(BPF_DW, 7, 10, -16), load(BPF_B, 1, 7, 0), mov(0, 0), leave()}),
                                asked);
  CHECK(labels(spilled) ==
        Said{"5: may be NULL: the result of bpf_map_lookup_elem()", "10: used here without a check"});
}

TEST_CASE("a number without a limit: what it is, where it comes from, which limit is missing") {
  Maps maps;
  const Asked asked{.maps = {maps.make(BPF_MAP_TYPE_ARRAY, 16, 1)}};
  // r6 = skb->len; r0 += r6; read
  auto indexed = [&](Insns check) {
    Insns insns{load(BPF_W, 6, 1, 0)};
    const Insns lookup = after_lookup({jump_if(BPF_JNE, 0, 0, 2), mov(0, 0), leave()});
    insns.insert(insns.end(), lookup.begin(), lookup.end());
    insns.insert(insns.end(), check.begin(), check.end());
    const Insns use{add_reg(0, 6), load(BPF_B, 1, 0, 0), mov(0, 0), leave()};
    insns.insert(insns.end(), use.begin(), use.end());
    return report(std::move(insns), asked);
  };
  const Report none = indexed({});
  CHECK(none.code == Code::kUnbounded);
  CHECK(labels(none) == Said{"0: the offset comes from here: loaded from the context",
                             "10: the offset is added to the pointer here",
                             "11: the offset is 0 to 4294967295, the map value has 16 bytes"});
  CHECK(none.help.starts_with("the upper limit is missing"));
  const Report too_high = indexed({jump_if(BPF_JLE, 6, 16, 2), mov(0, 0), leave()});
  CHECK(too_high.code == Code::kOutOfBounds);
  CHECK(labels(too_high) == Said{"0: the offset comes from here: loaded from the context",
                                 "10: compared here: then it is 0 to 16", "13: the offset is added to the pointer here",
                                 "14: the offset is 0 to 16, the map value has 16 bytes"});
  CHECK(too_high.help.starts_with("the upper limit is too high"));
  const Report negative = indexed({jump_if(BPF_JSLE, 6, 15, 2), mov(0, 0), leave(), add(6, -1)});
  CHECK(negative.help.starts_with("the lower limit is missing"));
}

TEST_CASE("a comparison in a loop is told once, as of the last round") {
  Maps maps;
  const Asked asked{.maps = {maps.make(BPF_MAP_TYPE_ARRAY, 16, 1)}};
  // for (r6 = 0; r6 < 32; ++r6) read value[r6], 16 bytes long
  const Report report_ = report(
      after_lookup({jump_if(BPF_JNE, 0, 0, 2), mov(0, 0), leave(), copy(7, 0), mov(6, 0), copy(1, 7), add_reg(1, 6),
                    load(BPF_B, 2, 1, 0), add(6, 1), jump_if(BPF_JLT, 6, 32, -5), mov(0, 0), leave()}),
      asked);
  CHECK(report_.code == Code::kOutOfBounds);
  CHECK(labels(report_) == Said{"5: the pointer comes from here: the result of bpf_map_lookup_elem()",
                                "10: the offset comes from here: set to 0", "15: compared here: then it is 16",
                                "12: the offset is added to the pointer here",
                                "13: byte 16 of the map value, which has 16"});
}

TEST_CASE("registers without a value: never written, or lost in a call") {
  const Report never = report({leave()});
  CHECK(never.code == Code::kUninitialised);
  CHECK(labels(never) == Said{"0: R0, the return value, has no value here"});
  const Report lost = report({mov(3, 1), call(BPF_FUNC_get_prandom_u32), copy(0, 3), leave()});
  CHECK(labels(lost) == Said{"1: R3 is lost in this call: only R6 to R9 survive one", "2: R3 has no value here"});
}

TEST_CASE("values are followed into the program's own functions and out of them") {
  // f(): returns a lookup's result; the caller reads through it.
  const Report result = [] {
    Maps maps;
    const Asked asked{.maps = {maps.make(BPF_MAP_TYPE_HASH, 16, 1)}};
    Insns insns{call_own(3), load(BPF_DW, 1, 0, 0), mov(0, 0), leave()};
    const Insns callee = after_lookup({leave()});
    insns.insert(insns.end(), callee.begin(), callee.end());
    return report(std::move(insns), asked);
  }();
  CHECK(labels(result) == Said{"9: may be NULL: the result of bpf_map_lookup_elem()", "1: used here without a check"});
  // f(number): uses its argument as a pointer.
  const Report argument = report({mov(1, 7), call_own(1), leave(), load(BPF_DW, 0, 1, 0), leave()});
  CHECK(argument.code == Code::kNotPointer);
  CHECK(labels(argument) == Said{"0: R1 comes from here: set to 7", "3: R1 is the number 7"});
}

TEST_CASE("references: where they were taken, and on which path they stay") {
  Maps maps;
  const Asked asked{.maps = {maps.make(BPF_MAP_TYPE_RINGBUF, 0, 4096)}};
  const Report held = report({op(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0), op(0, 0, 0, 0, 0), mov(2, 8),
                              mov(3, 0), call(BPF_FUNC_ringbuf_reserve), jump_if(BPF_JEQ, 0, 0, 0), mov(0, 0), leave()},
                             asked);
  CHECK(held.code == Code::kUnreleased);
  CHECK(held.labels.front().at.line == 4);
  CHECK(held.labels.front().text == "acquired here: the result of bpf_ringbuf_reserve()");
  CHECK(held.labels.back().at.line == 7);
  CHECK(held.help == "call bpf_ringbuf_submit() or bpf_ringbuf_discard() on every path to the exit");
}

TEST_CASE("rules of program types") {
  const Report field = report({load(BPF_W, 0, 1, 76), leave()});  // data
  CHECK(field.code == Code::kContext);
  CHECK(labels(field) == Said{"0: bytes 76 to 79 of the context"});
  const Report helper = report({call(BPF_FUNC_get_stackid), mov(0, 0), leave()});
  CHECK(helper.code == Code::kHelper);
  CHECK(helper.labels.back().text == "bpf_get_stackid() in a program of type socket_filter");
  CHECK(helper.help.find("kprobe") != std::string::npos);
}

TEST_CASE("an access that the loader could not relocate") {
  const Report poisoned = report({call(0xbad2310), mov(0, 0), leave()});
  CHECK(poisoned.code == Code::kRelocation);
  CHECK(poisoned.verifier == "invalid func unknown#195896080");
}

TEST_CASE("loops: without an end, and with one that is too far away") {
  const Report endless = report({mov(0, 0), jump(-1), leave()});
  CHECK((endless.code == Code::kEndlessLoop || endless.code == Code::kControlFlow));
  const Report forever = report({call(BPF_FUNC_get_prandom_u32), jump_if(BPF_JNE, 0, 0, -2), leave()});
  CHECK(forever.code == Code::kEndlessLoop);
  CHECK(labels(forever) ==
        Said{"0: the loop comes back from here", "1: reached again, with nothing changed that decides about the end"});
  const Report far = report(
      {mov(6, 0), call(BPF_FUNC_get_prandom_u32), add(6, 1), jump_if(BPF_JNE, 6, 1000000, -3), mov(0, 0), leave()});
  CHECK(far.code == Code::kTooComplex);
  CHECK(far.labels.back().at.line == 3);
}

TEST_CASE("what is wrong before any path is followed") {
  CHECK(report({mov(0, 0), leave(), mov(0, 0), leave()}).code == Code::kControlFlow);
  CHECK(report({mov(0, 0), leave(), mov(0, 0), leave()}).labels.back().at.line == 2);
  CHECK(
      report({op(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 9), op(0, 0, 0, 0, 0), mov(0, 0), leave()}).code ==
      Code::kBadReference);
}

TEST_CASE("registers that there are not") {
  for (const u8 reg : {11, 15})
    for (const Insn& insn : {load(BPF_W, 0, reg, 0), load(BPF_W, reg, 1, 0), store(BPF_W, reg, 1, 0), copy(0, reg)})
      CHECK(report({insn, mov(0, 0), leave()}).verifier == fmt::format("R{} is invalid", reg));
}

TEST_CASE("the report as text") {
  CHECK(to_text(report({mov(3, 1), call(BPF_FUNC_get_prandom_u32), copy(0, 3), leave()})) ==
        "error[BV012]: register read before it is written (program it)\n"
        " --> instruction 2\n"
        "  |\n"
        "1 | (85) call bpf_get_prandom_u32#7\n"
        "  | ------------------------------- R3 is lost in this call: only R6 to R9 survive one\n"
        "2 | (bf) r0 = r3\n"
        "  | ^^^^^^^^^^^^ R3 has no value here\n"
        "  = verifier: R3 !read_ok\n"
        "  = help: keep the value in a variable that is set before the call and used after it\n");
}

TEST_CASE("explaining leaves the verdict and the log as they are") {
  VerifierWorld world;
  const LoadRequest request = request_of({mov(3, 1), call(BPF_FUNC_get_prandom_u32), copy(0, 3), leave()}, {});
  auto once = [&] {
    VerifierLog log(1, 4096);
    const auto verdict = verify(world, request, log);
    return std::pair(verdict.error().value, log.text());
  };
  const auto before = once();
  (void)diagnose(world, request);
  CHECK(once() == before);
}
