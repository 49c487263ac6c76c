// SPDX-License-Identifier: Apache-2.0
// The auxiliary vector of a program that is about to begin, as it lies on the program's stack: one look there takes a
// fraction of what the first look at a file of a new process does.
#pragma once

#include <sys/types.h>

#include <vector>

#include "emu/base/result.h"

namespace bpfemu {

struct AuxVector {
  std::vector<u64> words;  // types and values by turns
  u64 of(u64 type) const;  // 0: it has no such entry
  // Where the ELF image is mapped in which the program begins: its interpreter's, or its own. 0: it cannot be told.
  u64 first_image() const;
};

// `stack`: the stack pointer of the thread, which has not run yet. `compat`: a 32-bit program. Errors: as of
// access_memory(); EFAULT, too, when no vector lies there.
Result<AuxVector> read_auxv(pid_t tid, u64 stack, bool compat);

}  // namespace bpfemu
