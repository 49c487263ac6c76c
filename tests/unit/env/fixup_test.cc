// SPDX-License-Identifier: Apache-2.0
// Rewriting of verified programs.
#include <catch2/catch.hpp>
#include <memory>

#include "emu/runtime/contexts.h"
#include "emu/verifier/fixup_phases.h"
#include "emu/verifier/prog_env.h"
#include "emu/verifier/show_maps.h"

using namespace bpfemu;

namespace {

Insn make(int code, int dst, int src, int off, int imm) {
  Insn insn{};
  insn.code = static_cast<u8>(code);
  insn.dst_reg = static_cast<u8>(dst) & 15;
  insn.src_reg = static_cast<u8>(src) & 15;
  insn.off = static_cast<s16>(off);
  insn.imm = imm;
  return insn;
}
Insn mov(int dst, int value) {
  return make(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}
Insn jeq(int dst, int value, int off) {
  return make(BPF_JMP | BPF_JEQ | BPF_K, dst, 0, off, value);
}
Insn ja(int off) {
  return make(BPF_JMP | BPF_JA, 0, 0, off, 0);
}
Insn call(int helper) {
  return make(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}
Insn call_function(int distance) {
  return make(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance);
}
const Insn kExit = make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

bpf_line_info line_at(u32 insn, u32 line) {
  return {insn, 0, line, 0};
}

bool same(const Insn& a, const Insn& b) {
  return a.code == b.code && a.dst_reg == b.dst_reg && a.src_reg == b.src_reg && a.off == b.off && a.imm == b.imm;
}

struct Fixture {
  explicit Fixture(u32 type, Insns insns, std::vector<u32> starts = {0}) {
    info.type = type;
    program = std::make_unique<FixupProgram>(FixupProgram{info, *prog_type_ops(type), log, {}, {}, {}, {}, {}, {}, {}});
    program->aux.resize(insns.size());
    for (InsnAux& aux : program->aux) aux.seen = true;
    for (u32 start : starts) program->subprogs.push_back({.start = start});
    program->subprogs.push_back({.start = static_cast<u32>(insns.size())});
    program->insns = std::move(insns);
  }
  const Insns& run() {
    auto rewritten = fix_up(*program);
    REQUIRE(rewritten.has_value());
    shown = rewritten->insns;
    REQUIRE(program->aux.size() == program->insns.size());
    REQUIRE(program->subprogs.back().start == program->insns.size());
    return program->insns;
  }
  void check(const Insns& expected) {
    const Insns& got = run();
    REQUIRE(got.size() == expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      INFO("instruction " << i << " code " << int{got[i].code} << " off " << got[i].off << " imm " << got[i].imm);
      CHECK(same(got[i], expected[i]));
    }
  }

  Insns shown;  // what dumps show, once run
  ProgInfo info;
  VerifierLog log{1, 65536};
  std::unique_ptr<FixupProgram> program;
};

}  // namespace

TEST_CASE("dead code goes, and what points over it follows") {
  Fixture f(BPF_PROG_TYPE_KPROBE, {jeq(1, 0, 2), mov(0, 1), kExit, ja(0), mov(0, 2), kExit});
  f.program->aux[1].seen = f.program->aux[2].seen = false;
  f.program->line_info = {line_at(0, 0), line_at(1, 7), line_at(4, 9)};
  f.check({mov(0, 2), kExit});
  REQUIRE(f.program->line_info.size() == 1);
  CHECK(f.program->line_info[0].insn_off == 0);
  CHECK(f.program->line_info[0].line_off == 9);
}

TEST_CASE("an instruction without a line inherits the last removed one") {
  Fixture f(BPF_PROG_TYPE_KPROBE, {mov(0, 0), mov(3, 1), mov(3, 2), kExit});
  f.program->aux[1].seen = false;
  f.program->line_info = {line_at(0, 0), line_at(1, 7)};
  f.check({mov(0, 0), mov(3, 2), kExit});
  REQUIRE(f.program->line_info.size() == 2);
  CHECK(f.program->line_info[1].insn_off == 1);
  CHECK(f.program->line_info[1].line_off == 7);
}

TEST_CASE("a function that is never called goes with its func_info") {
  Fixture f(BPF_PROG_TYPE_KPROBE, {call_function(4), kExit, mov(0, 1), mov(0, 2), kExit, mov(0, 3), kExit}, {0, 2, 5});
  for (u32 i = 2; i < 5; ++i) f.program->aux[i].seen = false;
  f.program->func_info = {{0, 10}, {2, 11}, {5, 12}};
  f.check({call_function(1), kExit, mov(0, 3), kExit});
  REQUIRE(f.program->subprogs.size() == 3);
  CHECK(f.program->subprogs[1].start == 2);
  REQUIRE(f.program->func_info.size() == 2);
  CHECK(f.program->func_info[1].insn_off == 2);
  CHECK(f.program->func_info[1].type_id == 12);
}

TEST_CASE("without privilege dead code is trapped") {
  Fixture f(BPF_PROG_TYPE_SOCKET_FILTER, {jeq(1, 0, 1), mov(0, 1), mov(0, 0), kExit});
  f.program->aux[1].seen = false;
  f.program->privileged = false;
  f.check({jeq(1, 0, 1), ja(-1), mov(0, 0), kExit});
}

TEST_CASE("divisions are guarded and jumps over them reach on") {
  Insn divide = make(BPF_ALU64 | BPF_DIV | BPF_X, 0, 1, 0, 0), rest = make(BPF_ALU | BPF_MOD | BPF_X, 0, 1, 0, 0);
  Fixture f(BPF_PROG_TYPE_KPROBE, {jeq(1, 5, 2), divide, rest, kExit, ja(-4)});
  f.check({jeq(1, 5, 8), make(BPF_JMP | BPF_JNE | BPF_K, 1, 0, 2, 0), make(BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0, 0),
           ja(1), divide, make(BPF_JMP32 | BPF_JEQ | BPF_K, 1, 0, 2, 0), rest, ja(1),
           make(BPF_ALU | BPF_MOV | BPF_X, 0, 0, 0, 0), kExit, ja(-10)});
}

TEST_CASE("context fields are read where the runtime keeps them") {
  Insn data = make(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(__sk_buff, data), 0);
  Insn part = make(BPF_LDX | BPF_MEM | BPF_B, 3, 1, offsetof(__sk_buff, mark) + 1, 0);
  Insn store = make(BPF_STX | BPF_MEM | BPF_W, 1, 3, offsetof(__sk_buff, tc_index), 0);
  Fixture f(BPF_PROG_TYPE_SCHED_CLS, {data, part, store, mov(0, 0), kExit});
  for (u32 i = 0; i < 3; ++i) f.program->aux[i].ptr_type = kPtrToCtx;
  f.program->aux[1].ctx_field_size = 4;
  f.check({make(BPF_LDX | BPF_MEM | BPF_DW, 2, 1, offsetof(RunSkb, data), 0),
           make(BPF_LDX | BPF_MEM | BPF_B, 3, 1, offsetof(RunSkb, mark) + 1, 0),
           make(BPF_STX | BPF_MEM | BPF_H, 1, 3, offsetof(RunSkb, tc_index), 0), mov(0, 0), kExit});
}

TEST_CASE("addresses come from the socket") {
  Insn family = make(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(__sk_buff, family), 0);
  Fixture f(BPF_PROG_TYPE_CGROUP_SKB, {family, mov(0, 0), kExit});
  f.program->aux[0].ptr_type = kPtrToCtx;
  f.check({make(BPF_LDX | BPF_MEM | BPF_DW, 2, 1, offsetof(RunSkb, sk), 0),
           make(BPF_LDX | kProbeMem | BPF_W, 2, 2, offsetof(RunSock, family), 0), mov(0, 0), kExit});
}

TEST_CASE("registers are read as they are, kernel pointers safely") {
  Insn load = make(BPF_LDX | BPF_MEM | BPF_DW, 2, 1, 8, 0);
  Fixture f(BPF_PROG_TYPE_KPROBE, {load, load, load, mov(0, 0), kExit});
  f.program->aux[0].ptr_type = kPtrToCtx;
  f.program->aux[1].ptr_type = kPtrToBtfId | kUntrusted;
  f.program->aux[2].ptr_type = kPtrToMem;
  Insn safe = load;
  safe.code = BPF_LDX | kProbeMem | BPF_DW;
  f.check({load, safe, load, mov(0, 0), kExit});
}

TEST_CASE("tail calls are instructions of their own") {
  Fixture f(BPF_PROG_TYPE_KPROBE, {call(BPF_FUNC_tail_call), mov(0, 0), kExit});
  f.check({make(BPF_JMP | kTailCall, 0, 0, 0, 0), mov(0, 0), kExit});
  CHECK(f.info.max_pkt_offset == 0xffff);
}

TEST_CASE("bpf_loop with a known callback becomes a loop") {
  Fixture f(BPF_PROG_TYPE_KPROBE, {call(BPF_FUNC_loop), mov(0, 0), kExit, mov(0, 1), kExit}, {0, 3});
  f.program->subprogs[0].stack_depth = 12;
  f.program->aux[0].loop_fit_for_inline = true;
  f.program->aux[0].loop_subprog = 1;
  const Insns& insns = f.run();
  REQUIRE(insns.size() == 23);
  CHECK(f.program->subprogs[0].stack_depth == 40);
  CHECK(f.program->subprogs[1].start == 21);
  CHECK(same(insns[12], call_function(8)));
  CHECK(same(insns[3], make(BPF_STX | BPF_MEM | BPF_DW, 10, 6, -40, 0)));
  CHECK(same(insns[18], make(BPF_LDX | BPF_MEM | BPF_DW, 8, 10, -24, 0)));
  CHECK(same(insns[19], mov(0, 0)));
}

TEST_CASE("constants lose what marked them, functions stay marked") {
  Insn map = make(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 5);
  Insn function = make(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 6);
  Insn half = make(0, 0, 0, 0, 0), divide = make(BPF_ALU64 | BPF_DIV | BPF_X, 3, 4, 0, 0);
  Fixture f(BPF_PROG_TYPE_KPROBE,
            {map, half, function, half, divide, mov(3, 0), mov(3, 0), mov(0, 0), kExit, mov(0, 0), kExit}, {0, 9});
  const Insns& insns = f.run();
  CHECK(insns[0].src_reg == 0);
  CHECK(insns[0].imm == 5);
  CHECK(insns[2].src_reg == BPF_PSEUDO_FUNC);
  CHECK(insns[2].imm == 9);
}

TEST_CASE("a jump that becomes too long is refused") {
  Insns insns{jeq(1, 0, 32000)};
  for (int i = 0; i < 32000; ++i) insns.push_back(make(BPF_ALU64 | BPF_DIV | BPF_X, 3, 4, 0, 0));
  insns.push_back(kExit);
  Fixture f(BPF_PROG_TYPE_KPROBE, insns);
  auto result = fix_up(*f.program);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().value == ERANGE);
}

TEST_CASE("packet loads are shown as the calls that the kernel makes of them") {
  Insn load = make(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 12), indirect = make(BPF_LD | BPF_IND | BPF_W, 0, 7, 0, 2);
  Fixture f(BPF_PROG_TYPE_SOCKET_FILTER, {load, indirect, kExit});
  f.check({load, indirect, kExit});
  REQUIRE(f.shown.size() == 14);
  CHECK(same(f.shown[0], make(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 12)));
  CHECK(same(f.shown[1], make(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0)));
  CHECK(map_function(f.shown[2].off) == std::string("bpf_skb_load_helper_8_no_cache"));
  CHECK(same(f.shown[3], make(BPF_JMP | BPF_JSGE | BPF_K, 0, 0, 2, 0)));
  CHECK(same(f.shown[6], make(BPF_ALU64 | BPF_MOV | BPF_X, 2, 7, 0, 0)));
  CHECK(same(f.shown[7], make(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 2)));
  CHECK(map_function(f.shown[9].off) == std::string("bpf_skb_load_helper_32_no_cache"));
}

TEST_CASE("what fentry programs ask of their context is shown as loads") {
  Fixture f(BPF_PROG_TYPE_TRACING, {call(BPF_FUNC_get_func_ip), call(BPF_FUNC_get_func_ret), jeq(0, 0, -2), kExit});
  f.info.expected_attach_type = BPF_TRACE_FENTRY;
  f.run();
  REQUIRE(f.shown.size() == 4);
  CHECK(same(f.shown[0], make(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, -16, 0)));
  CHECK(same(f.shown[1], make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -EOPNOTSUPP)));
  CHECK(same(f.shown[2], jeq(0, 0, -2)));
}

TEST_CASE("every function of a map has a number") {
  for (u32 type = 0; type < 40; ++type) {
    for (int call = 0; call < static_cast<int>(MapCall::kCount); ++call) {
      s16 number = map_function_number(type, static_cast<MapCall>(call));
      if (number) CHECK(map_function(number) != nullptr);
    }
  }
  CHECK(map_function(map_function_number(BPF_MAP_TYPE_LRU_HASH, MapCall::kDelete)) ==
        std::string("htab_lru_map_delete_elem"));
  CHECK(map_function(map_function_number(BPF_MAP_TYPE_STACK, MapCall::kPop)) == std::string("stack_map_pop_elem"));
  CHECK(map_function_number(BPF_MAP_TYPE_RINGBUF, MapCall::kLookup) == 0);
  CHECK(map_function_number(BPF_MAP_TYPE_HASH, MapCall::kPush) == 0);
}
