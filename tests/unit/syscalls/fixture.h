// SPDX-License-Identifier: Apache-2.0
// One emulated kernel for all tests of this program, asked by a thread that lives in the test itself.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "emu/syscalls/call.h"
#include "emu/syscalls/system.h"
#include "tests/fakes/ports.h"

namespace bpfemu::test {

struct Kernel {
  Kernel();
  fakes::FakeHost host;
  fakes::FakeSites sites;
  fakes::FakeTask task;
  std::unique_ptr<System> system;

  // A system call of the thread: what the model answers, or what the kernel says where the model leaves it alone.
  s64 call(long number, std::array<u64, 6> args);
  s64 bpf(int command, const bpf_attr& attr, u64 size = sizeof(bpf_attr));
  s64 bpf_in_place(int command, bpf_attr& attr);
};

// The arena has one fixed address, so there is one.
Kernel& kernel();

bpf_attr map_attr(u32 type, u32 key = 4, u32 value = 4, u32 entries = 4, u32 flags = 0);
bpf_attr element(s64 map, const void* key, const void* value, u64 flags = 0);
bpf_attr program_attr(u32 type, const std::vector<bpf_insn>& insns);
std::vector<bpf_insn> return_zero();

}  // namespace bpfemu::test
