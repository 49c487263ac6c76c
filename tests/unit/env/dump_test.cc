// SPDX-License-Identifier: Apache-2.0
// What bpf_prog_info shows of a program.
#include <catch2/catch.hpp>
#include <memory>

#include "emu/verifier/fixup_dump.h"

using namespace bpfemu;

namespace {

constexpr u64 kBase = 0xffffffff81200000;

Insn make(int code, int src, int off, int imm) {
  Insn insn{};
  insn.code = static_cast<u8>(code);
  insn.src_reg = static_cast<u8>(src) & 15;
  insn.off = static_cast<s16>(off);
  insn.imm = imm;
  return insn;
}

VerifierWorld world() {
  VerifierWorld world;
  world.ksym = [](std::string_view name) -> u64 {
    if (name == "__bpf_call_base") return kBase;
    if (name == "bpf_perf_event_output") return kBase + 0x1000;
    if (name == "bpf_perf_event_output_tp") return kBase - 0x2000;
    return 0;
  };
  return world;
}

// Calls a helper, a function of its own and a tail call, and reads through a kernel pointer.
std::unique_ptr<Program> program(u32 type) {
  auto program = std::make_unique<Program>();
  program->type = type;
  program->verified.shown.insns = {make(BPF_JMP | BPF_CALL, 0, 0, BPF_FUNC_perf_event_output),
                             make(BPF_JMP | BPF_CALL, BPF_PSEUDO_CALL, 0, 5),
                             make(BPF_JMP | kTailCall, 0, 0, 0),
                             make(BPF_LDX | kProbeMem | BPF_W, 1, 8, 0),
                             make(BPF_LD | BPF_IMM | BPF_DW, BPF_PSEUDO_FUNC, 0, 2),
                             make(0, 0, 0, 0),
                             make(BPF_JMP | BPF_EXIT, 0, 0, 0),
                             make(BPF_JMP | BPF_EXIT, 0, 0, 0)};
  program->verified.shown.subprogram_starts = {0, 7};
  return program;
}

}  // namespace

TEST_CASE("calls are shown as distances from __bpf_call_base") {
  Insns insns = dump_insns(*program(BPF_PROG_TYPE_KPROBE), world(), true);
  CHECK(insns[0].imm == 0x1000);
  CHECK(dump_insns(*program(BPF_PROG_TYPE_TRACEPOINT), world(), true)[0].imm == -0x2000);
  // The kernel has no such symbol: the helper's number.
  CHECK(dump_insns(*program(BPF_PROG_TYPE_XDP), world(), true)[0].imm == BPF_FUNC_perf_event_output);
}

TEST_CASE("functions of the program are shown by number and distance") {
  Insns insns = dump_insns(*program(BPF_PROG_TYPE_KPROBE), world(), true);
  CHECK(insns[1].off == 5);
  CHECK(insns[1].imm == 1);
  CHECK(insns[4].imm == 2);
  CHECK(insns[5].imm == 1);
}

TEST_CASE("what the rewriting made is shown as it was written") {
  Insns insns = dump_insns(*program(BPF_PROG_TYPE_KPROBE), world(), true);
  CHECK(int{insns[2].code} == (BPF_JMP | BPF_CALL));
  CHECK(insns[2].imm == BPF_FUNC_tail_call);
  CHECK(int{insns[3].code} == (BPF_LDX | BPF_MEM | BPF_W));
}

TEST_CASE("addresses are hidden from those who may not see them") {
  Insns insns = dump_insns(*program(BPF_PROG_TYPE_KPROBE), world(), false);
  CHECK(insns[0].imm == 0);
  CHECK(insns[1].imm == 0);
  CHECK(insns[1].off == 5);
}
