// SPDX-License-Identifier: Apache-2.0
// Fetches the arguments of dynamic events into their records (kernel: store_trace_args, process_fetch_insn).
#pragma once

#include <vector>

#include "emu/abi/pt_regs.h"
#include "emu/kernel/dynamic_probe.h"
#include "emu/probe/runner.h"

namespace bpfemu {

// Where the probe was hit.
struct FetchScene {
  RunScope& scope;
  const PtRegs& regs;  // the kernel's of a kprobe, the thread's of a uprobe
  const DynamicProbe& probe;
  u64 file_address;  // of a uprobe: where the file's first byte would be mapped
  const Symbols& symbols;
  Unmodelled& unmodelled;
};

// `record` ends where the arguments begin; they are appended, and behind all of them the texts.
void fetch_arguments(const FetchScene& scene, std::vector<u8>& record);

}  // namespace bpfemu
