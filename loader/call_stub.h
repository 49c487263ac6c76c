// SPDX-License-Identifier: Apache-2.0
// The code that decides the calls of one site. Nothing of the program's is touched but rax, which is the number of the
// call when it comes to that, and rcx and r11, which every system call destroys: no flags, no stack, no memory written. So
// a thread that is anywhere in a stub before its call may as well be at the site's.
#pragma once

#include <vector>

#include "emu/syscalls/path_table.h"
#include "loader/call_site.h"

namespace bpfemu {

struct Stub {
  std::vector<u8> code;
  u64 decides;  // offset: before, rax is the program's
  u64 done;     // offset behind the call: from there on the thread has its result
};

// For the site at `address`, to lie at `at`.
Stub build_stub(const PathShape& shape, const CallSite& site, u64 address, u64 at);
// As it lies in the area: kStubSize bytes, with its label.
std::vector<u8> labelled(const Stub& stub, const CallSite& site, u64 address);
// A jump to any address, through rcx.
inline constexpr u64 kHopSize = 16;
std::vector<u8> build_hop(u64 to);

}  // namespace bpfemu
