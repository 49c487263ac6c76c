// SPDX-License-Identifier: Apache-2.0
// A small interpreter of classic BPF, as far as seccomp filters of the tests use it.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

struct Run {
  u32 action;
  size_t steps;
};

inline Run run(const std::vector<sock_filter>& code, const seccomp_data& data) {
  u32 a = 0;
  size_t steps = 0;
  for (size_t pc = 0; pc < code.size(); ++pc) {
    const sock_filter& f = code[pc];
    ++steps;
    switch (f.code) {
      case BPF_LD | BPF_W | BPF_ABS: std::memcpy(&a, reinterpret_cast<const u8*>(&data) + f.k, 4); break;
      case BPF_JMP | BPF_JEQ | BPF_K: pc += a == f.k ? f.jt : f.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: pc += a >= f.k ? f.jt : f.jf; break;
      case BPF_JMP | BPF_JSET | BPF_K: pc += (a & f.k) ? f.jt : f.jf; break;
      case BPF_JMP | BPF_JA: pc += f.k; break;
      case BPF_LD | BPF_IMM: a = f.k; break;
      case BPF_RET | BPF_A: return {a, steps};
      case BPF_RET | BPF_K: return {f.k, steps};
      default: FAIL("unknown instruction");
    }
  }
  FAIL("ran off the end");
  return {};
}

}  // namespace bpfemu
