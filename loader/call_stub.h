// SPDX-License-Identifier: Apache-2.0
// The code that decides the calls of one site. Nothing of the program's is touched but rax, which the patched
// instruction was about to set, and rcx and r11, which every system call destroys: no flags, no stack, no memory
// written. So a thread that is anywhere in a stub before its call may as well begin anew at the site.
#pragma once

#include <vector>

#include "emu/syscalls/path_table.h"

namespace bpfemu {

struct Stub {
  std::vector<u8> code;
  u64 done;  // offset behind the call: from there on the thread has its result
};

// For the site at `site`, to lie at any address.
Stub build_stub(const PathShape& shape, u64 site);
// A jump to any address, through rcx.
inline constexpr u64 kHopSize = 16;
std::vector<u8> build_hop(u64 to);

}  // namespace bpfemu
