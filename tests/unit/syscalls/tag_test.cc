// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/prog_tag.h"

#include <catch2/catch.hpp>

#include "emu/syscalls/call.h"
#include "tests/unit/syscalls/fixture.h"

using namespace bpfemu;

TEST_CASE("the tag of a program is the start of the SHA-1 of its instructions") {
  // bpftool shows a04f5eef06a7f555 for "r0 = 0; exit" on every kernel before the hash changed.
  std::array<u8, 8> expected{0xa0, 0x4f, 0x5e, 0xef, 0x06, 0xa7, 0xf5, 0x55};
  CHECK(program_tag(test::return_zero()) == expected);
}

TEST_CASE("map descriptors do not show in the tag") {
  auto load = [](int fd) {
    std::vector<bpf_insn> insns{{BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, fd}, {0, 0, 0, 0, 0}};
    for (auto& insn : test::return_zero()) insns.push_back(insn);
    return insns;
  };
  CHECK(program_tag(load(3)) == program_tag(load(77)));
  CHECK(program_tag(load(3)) != program_tag(test::return_zero()));
}
