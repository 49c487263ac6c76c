// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/contexts.h"

namespace bpfemu {

namespace {

struct PerfEventData {  // uapi: struct bpf_perf_event_data
  PtRegs regs;
  u64 sample_period;
  u64 addr;
};

}  // namespace

void* perf_event_context(void* memory, const PtRegs* regs, u64 period, u64 addr) {
  return new (memory) PerfEventData{regs ? *regs : PtRegs{}, period, addr};
}

}  // namespace bpfemu
