// SPDX-License-Identifier: Apache-2.0
// Map values: null checks, bounds, read-only maps, and references into ring buffers.
#include <linux/bpf.h>

#include <catch2/catch.hpp>

#include "tests/unit/verifier/maps.h"

using namespace bpfemu;

TEST_CASE("map values") {
  Maps maps;
  Asked asked{.maps = {maps.make(BPF_MAP_TYPE_ARRAY, 16, 1)}};
  auto answer = [&](Insns rest) { return check(after_lookup(std::move(rest)), asked); };

  CHECK(answer({jump_if(BPF_JEQ, 0, 0, 1), load(BPF_DW, 1, 0, 8), mov(0, 0), leave()}).error == 0);
  auto unchecked = answer({load(BPF_DW, 1, 0, 0), mov(0, 0), leave()});
  CHECK(unchecked.error == EACCES);
  CHECK(unchecked.says("R0 invalid mem access 'map_value_or_null'\n"));
  auto beyond = answer({jump_if(BPF_JEQ, 0, 0, 1), load(BPF_DW, 1, 0, 12), mov(0, 0), leave()});
  CHECK(
      beyond.says("invalid access to map value, value_size=16 off=12 size=8\n"
                  "R0 min value is outside of the allowed memory range\n"));
  // An index from the packet must be bounded first.
  Insns indexed{jump_if(BPF_JEQ, 0, 0, 4),
                load(BPF_W, 1, 0, 0),
                op(BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, 15),
                add_reg(0, 1),
                load(BPF_B, 1, 0, 0),
                mov(0, 0),
                leave()};
  CHECK(answer(indexed).error == 0);
  indexed[2] = op(BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, 31);
  CHECK(answer(indexed).says("R0 max value is outside of the allowed memory range\n"));
  CHECK(answer({add(0, 8), mov(0, 0), leave()})
            .says("R0 pointer arithmetic on map_value_or_null prohibited, null-check it first\n"));
}

TEST_CASE("maps that programs may not write") {
  Maps maps;
  Asked asked{.maps = {maps.make(BPF_MAP_TYPE_ARRAY, 16, 1, BPF_F_RDONLY_PROG)}};
  auto verdict =
      check(after_lookup({jump_if(BPF_JEQ, 0, 0, 2), mov(1, 1), store(BPF_DW, 0, 1, 0), mov(0, 0), leave()}), asked);
  CHECK(verdict.error == EACCES);
  CHECK(verdict.says("write into map forbidden, value_size=16 off=0 size=8\n"));
}

TEST_CASE("ring buffer records are submitted or discarded") {
  Maps maps;
  Asked asked{.type = BPF_PROG_TYPE_TRACEPOINT, .maps = {maps.make(BPF_MAP_TYPE_RINGBUF, 0, 4096)}};
  Insns reserve{op(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0),
                op(0, 0, 0, 0, 0),
                mov(2, 8),
                mov(3, 0),
                call(BPF_FUNC_ringbuf_reserve),
                jump_if(BPF_JEQ, 0, 0, 3)};
  Insns good = reserve, leaking = reserve;
  for (const Insn& insn : {copy(1, 0), mov(2, 0), call(BPF_FUNC_ringbuf_submit), mov(0, 0), leave()}) {
    good.push_back(insn);
  }
  for (const Insn& insn : {mov(1, 1), mov(2, 0), mov(3, 0), mov(0, 0), leave()}) leaking.push_back(insn);
  CHECK(check(good, asked).error == 0);
  auto leak = check(leaking, asked);
  CHECK(leak.error == EINVAL);
  CHECK(leak.says("Unreleased reference id=2 alloc_insn=4\n"));
}

TEST_CASE("more direct tail calls than a program may have") {
  constexpr int kMost = 1024;
  Maps maps;
  const Asked asked{.type = BPF_PROG_TYPE_SCHED_CLS, .level = 1, .maps = {maps.make(BPF_MAP_TYPE_PROG_ARRAY, 4, 4)}};
  auto answer = [&](int calls) {
    Insns insns{copy(6, 1)};
    for (int i = 0; i < calls; ++i)
      for (const Insn& insn : {copy(1, 6), op(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_FD, 0, 0), op(0, 0, 0, 0, 0),
                               mov(3, i % 4), call(BPF_FUNC_tail_call)})
        insns.push_back(insn);
    for (const Insn& insn : {mov(0, 0), leave()}) insns.push_back(insn);
    return check(insns, asked);
  };
  CHECK(answer(kMost).error == 0);
  const Verdict refused = answer(kMost + 1);
  CHECK(refused.error == ENOSPC);
  CHECK(refused.says("adding tail call poke descriptor failed\n"));
}
