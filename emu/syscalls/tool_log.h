// SPDX-License-Identifier: Apache-2.0
// The log buffer that BPF_PROG_LOAD and BPF_BTF_LOAD take.
#pragma once

#include "emu/btf/verifier_log.h"
#include "emu/syscalls/bpf.h"

namespace bpfemu {

// Where a tool wants its log.
struct ToolLog {
  u32 level;
  u64 buffer;
  u32 size;

  bool wanted() const { return level || buffer || size; }
  // Kernel: bpf_verifier_log_attr_valid.
  bool valid() const;
  // Copies `log` out and gives the errno that the call ends with: ENOSPC when it did not fit, EFAULT when the buffer is
  // no memory, else `result` (0 for success).
  int finish(BpfCall& call, const VerifierLog& log, int result) const;
};

}  // namespace bpfemu
