// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/attachment.h"

#include <catch2/catch.hpp>

#include "tests/unit/verifier/program.h"

using namespace bpfemu;

namespace {

bool noticed(u32 type, Insns insns, u32 attach_type = 0) {
  Program program;
  program.type = type;
  program.expected_attach_type = attach_type;
  program.verified.insns = std::move(insns);
  return is_noticed(program);
}

}  // namespace

TEST_CASE("a program that only watches and does nothing is a question of the loader's") {
  const Insns nothing{mov(0, 0), leave()}, its_stack{store(BPF_DW, 10, 1, -8), mov(0, 0), leave()};
  for (u32 type : {BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_PERF_EVENT, BPF_PROG_TYPE_RAW_TRACEPOINT,
                   BPF_PROG_TYPE_TRACING}) {
    CHECK_FALSE(noticed(type, nothing));
    CHECK_FALSE(noticed(type, its_stack));
    CHECK(noticed(type, {store(BPF_DW, 2, 1, 0), mov(0, 0), leave()}));
    CHECK(noticed(type, {call(BPF_FUNC_ktime_get_ns), leave()}));
  }
}

TEST_CASE("somebody looks at the result of a program that decides") {
  const Insns nothing{mov(0, 0), leave()};
  for (u32 type : {BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_LSM, BPF_PROG_TYPE_CGROUP_SKB}) CHECK(noticed(type, nothing));
  CHECK(noticed(BPF_PROG_TYPE_TRACING, nothing, BPF_MODIFY_RETURN));
}
