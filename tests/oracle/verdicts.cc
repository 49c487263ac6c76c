// SPDX-License-Identifier: Apache-2.0
// Small programs and what the verifier says of them, with the last line of its log.
#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

std::string last_line(const std::string& log) {
  std::vector<std::string> lines;
  std::string line;
  for (char c : log) {
    if (c == 0) break;
    if (c == '\n') {
      lines.push_back(line);
      line.clear();
    } else {
      line += c;
    }
  }
  // The statistics end every log; the verdict is before them.
  while (!lines.empty() && lines.back().rfind("processed ", 0) == 0) lines.pop_back();
  return lines.empty() ? "" : lines.back();
}

void ask(const std::string& name, const Program& program, u32 type = BPF_PROG_TYPE_SOCKET_FILTER, u32 flags = 0) {
  std::string log(1 << 20, 0);
  bpf_attr attr = prog_attr(type, program);
  attr.prog_flags = flags;
  long quiet = bpf(BPF_PROG_LOAD, attr);
  attr.log_level = 1;
  attr.log_size = static_cast<u32>(log.size());
  attr.log_buf = ptr(log.data());
  long loud = bpf(BPF_PROG_LOAD, attr);
  std::string said = loud < 0 ? " | " + last_line(log) : "";
  if (quiet >= 0) close(static_cast<int>(quiet));
  if (loud >= 0) close(static_cast<int>(loud));
  std::string answer = quiet < 0 ? text(quiet) : "fd";
  if (quiet != loud && (quiet < 0 || loud < 0)) answer += " with a log " + text(loud);
  say("verdict/" + name, answer + said);
}

}  // namespace

void ask_verdicts() {
  constexpr u8 r0 = BPF_REG_0, r1 = BPF_REG_1, r2 = BPF_REG_2, r3 = BPF_REG_3, r10 = BPF_REG_10;
  ask("only exit", {leave()});
  ask("no exit", {mov(r0, 0)});
  ask("jump out", {insn(BPF_JMP | BPF_JA, 0, 0, 5, 0), leave()});
  ask("jump to itself", {mov(r0, 0), insn(BPF_JMP | BPF_JA, 0, 0, -1, 0), leave()});
  ask("unreachable", {mov(r0, 0), leave(), mov(r0, 1), leave()});
  ask("uninitialised", {mov_reg(r0, r2), leave()});
  ask("register 11", {insn(BPF_ALU64 | BPF_MOV | BPF_K, 11, 0, 0, 0), leave()});
  ask("write to r10", {mov(r10, 0), leave()});
  ask("unknown opcode", {insn(0xff, 0, 0, 0, 0), leave()});
  ask("reserved field", {insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 1, 0, 0), leave()});
  ask("division by 0", {mov(r0, 1), insn(BPF_ALU64 | BPF_DIV | BPF_K, 0, 0, 0, 0), leave()});
  ask("shift by 64", {mov(r0, 1), insn(BPF_ALU64 | BPF_LSH | BPF_K, 0, 0, 0, 64), leave()});
  ask("half a 64-bit load", {insn(BPF_LD | BPF_IMM | BPF_DW, 0, 0, 0, 0)});
  ask("stack", {store(r10, -8, 1, BPF_DW), load(r0, r10, -8, BPF_DW), leave()});
  ask("stack not written", {load(r0, r10, -8, BPF_DW), leave()});
  ask("stack too low", {store(r10, -520, 1, BPF_DW), mov(r0, 0), leave()});
  ask("stack too high", {store(r10, 0, 1, BPF_DW), mov(r0, 0), leave()});
  ask("stack misaligned", {store(r10, -7, 1, BPF_DW), mov(r0, 0), leave()});
  ask("context", {load(r0, r1, 0), leave()});
  ask("context past the end", {load(r0, r1, 4000), leave()});
  ask("context write", {store(r1, 0, 1), mov(r0, 0), leave()});
  ask("returns a pointer", {mov_reg(r0, r10), leave()});
  ask("unknown helper", {call(9999), leave()});
  ask("helper 0", {call(0), leave()});
  ask("helper of another type", {call(BPF_FUNC_get_current_pid_tgid), leave()});
  ask("helper of its own", {call(BPF_FUNC_get_current_pid_tgid), mov(r0, 0), leave()}, BPF_PROG_TYPE_KPROBE);
  ask("helper with bad arguments", {mov(r1, 0), mov(r2, 0), call(BPF_FUNC_map_lookup_elem), mov(r0, 0), leave()});
  ask("r1 after a call", {call(BPF_FUNC_ktime_get_ns), mov_reg(r0, r1), leave()});
  ask("map of nothing", load_map(r1, -1) + nothing());
  ask("map of a file", load_map(r1, 0) + nothing());
  ask("bounded loop", {mov(r0, 0), add(r0, 1), insn(BPF_JMP | BPF_JLT | BPF_K, 0, 0, -2, 10), leave()});
  ask("endless loop", {mov(r0, 0), insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, -1, 0), leave()});
  ask("subprogram", {insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1), leave(), mov(r0, 2), leave()});
  ask("recursion", {insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, -1), leave()});

  int array = make_map({BPF_MAP_TYPE_ARRAY, 4, 8, 2});
  int hash = make_map({BPF_MAP_TYPE_HASH, 4, 8, 2});
  int programs = make_map({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2});
  int ring = make_map({BPF_MAP_TYPE_RINGBUF, 0, 0, 4096});
  Program key = {store(r10, -4, 0), mov_reg(r2, r10), add(r2, -4)};
  Program null_check = {insn(BPF_JMP | BPF_JEQ | BPF_K, r0, 0, 1, 0)};
  auto with_value = [&](int map, const Program& use) {
    Program skip = {insn(BPF_JMP | BPF_JEQ | BPF_K, r0, 0, static_cast<int>(use.size()), 0)};
    return key + load_map(r1, map) + Program{call(BPF_FUNC_map_lookup_elem)} + skip + use + nothing();
  };
  ask("value unchecked", key + load_map(r1, array) + Program{call(BPF_FUNC_map_lookup_elem), load(r0, r0, 0), leave()});
  ask("value read", with_value(array, {load(r3, r0, 0, BPF_DW)}));
  ask("value written", with_value(hash, {store(r0, 0, 5, BPF_DW)}));
  ask("value past the end", with_value(array, {load(r3, r0, 8, BPF_DW)}));
  ask("value before the start", with_value(array, {load(r3, r0, -8, BPF_DW)}));
  ask("value beyond bounds by a variable", with_value(array, {load(r3, r0, 0, BPF_DW),
                                                              insn(BPF_ALU64 | BPF_ADD | BPF_X, r0, r3, 0, 0),
                                                              load(r3, r0, 0)}));
  ask("key not on the stack", load_map(r1, array) + Program{mov(r2, 0), call(BPF_FUNC_map_lookup_elem)} + nothing());
  ask("tail call", Program{mov(r3, 0)} + load_map(r2, programs) + Program{call(BPF_FUNC_tail_call)} + nothing());
  ask("tail call through an array", Program{mov(r3, 0)} + load_map(r2, array) + Program{call(BPF_FUNC_tail_call)} +
                                        nothing());
  ask("lookup in a program array", key + load_map(r1, programs) + Program{call(BPF_FUNC_map_lookup_elem)} + nothing());
  ask("direct value", load_map(r1, array, BPF_PSEUDO_MAP_VALUE) + nothing());
  int single = make_map({BPF_MAP_TYPE_ARRAY, 4, 8, 1});
  ask("direct value of a single array", load_map(r1, single, BPF_PSEUDO_MAP_VALUE, 4) + Program{store(r1, 0, 1)} +
                                            nothing());
  ask("direct value beyond", load_map(r1, single, BPF_PSEUDO_MAP_VALUE, 8) + nothing());
  ask("direct value of a hash", load_map(r1, hash, BPF_PSEUDO_MAP_VALUE) + nothing());
  ask("ring record leaked", load_map(r1, ring) + Program{mov(r2, 8), mov(r3, 0), call(BPF_FUNC_ringbuf_reserve)} +
                                nothing(), BPF_PROG_TYPE_KPROBE);
  int jumps = make_map({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2});
  Program jump = Program{mov(r3, 0)} + load_map(r2, jumps) + Program{call(BPF_FUNC_tail_call)} + nothing();
  ask("program array of programs with fragments", jump, BPF_PROG_TYPE_XDP, BPF_F_XDP_HAS_FRAGS);
  ask("the same array without fragments", jump, BPF_PROG_TYPE_XDP);
  close(jumps);
  ask("null check only", null_check + nothing());
  for (int fd : {array, hash, programs, ring, single}) close(fd);

  ask("tracing without a target", nothing(), BPF_PROG_TYPE_TRACING);
  ask("lsm without a target", nothing(), BPF_PROG_TYPE_LSM);
  ask("ext without a target", nothing(), BPF_PROG_TYPE_EXT);
  ask("probe_read_kernel", {mov_reg(r1, r10), add(r1, -8), mov(r2, 8), mov(r3, 0), call(BPF_FUNC_probe_read_kernel),
                            mov(r0, 0), leave()}, BPF_PROG_TYPE_TRACEPOINT);
  ask("tracepoint context", {load(r0, r1, 8, BPF_DW), mov(r0, 0), leave()}, BPF_PROG_TYPE_TRACEPOINT);
  ask("kprobe context", {load(r0, r1, 112, BPF_DW), mov(r0, 0), leave()}, BPF_PROG_TYPE_KPROBE);
  ask("kprobe context, odd", {load(r0, r1, 3), mov(r0, 0), leave()}, BPF_PROG_TYPE_KPROBE);
  ask("xdp return", {mov(r0, 2), leave()}, BPF_PROG_TYPE_XDP);
  ask("perf event context", {load(r0, r1, 168, BPF_DW), mov(r0, 0), leave()}, BPF_PROG_TYPE_PERF_EVENT);
}

}  // namespace oracle
