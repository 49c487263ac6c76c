// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/noticed.h"

#include <algorithm>

namespace bpfemu {

namespace {

// Programs whose result nothing depends on.
bool only_watches(const Program& program) {
  switch (program.type) {
    case BPF_PROG_TYPE_KPROBE:
    case BPF_PROG_TYPE_TRACEPOINT:
    case BPF_PROG_TYPE_PERF_EVENT:
    case BPF_PROG_TYPE_RAW_TRACEPOINT: return true;
    case BPF_PROG_TYPE_TRACING: return program.expected_attach_type != BPF_MODIFY_RETURN;
    default: return false;
  }
}

bool has_effect(const Insn& insn) {
  const u8 cls = BPF_CLASS(insn.code);
  if (cls == BPF_ST || cls == BPF_STX) return insn.dst_reg != BPF_REG_10;
  return insn.code == (BPF_JMP | BPF_CALL);
}

}  // namespace

bool is_noticed(const Program& program) {
  const Insns& insns = program.verified.insns;
  return !only_watches(program) || std::any_of(insns.begin(), insns.end(), has_effect);
}

}  // namespace bpfemu
