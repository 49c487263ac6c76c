// SPDX-License-Identifier: Apache-2.0
// Small valid programs and BTF, and what becomes of them when they are mutated.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "tests/fuzz/random.h"

namespace bpfemu::fuzz {

// One of a few valid programs, which names `map` where it needs one.
std::vector<bpf_insn> sample_program(Random& random, int map);
void mutate(Random& random, std::vector<bpf_insn>& insns);

std::vector<u8> sample_btf();
void mutate(Random& random, std::vector<u8>& bytes);

}  // namespace bpfemu::fuzz
