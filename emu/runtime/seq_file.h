// SPDX-License-Identifier: Apache-2.0
// The text that an iterator's programs make, in the kernel's own struct seq_file: programs have its address and may
// look at its members. Runtime code.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

// How struct seq_file begins, in every kernel.
struct SeqFile {
  char* buffer;
  u64 size;   // of it
  u64 from;   // where what has not been read begins
  u64 count;  // bytes in it that have not been; size: it was not large enough

  bool overflowed() const { return count == size; }
  void set_overflowed() { count = size; }
};

}  // namespace bpfemu
