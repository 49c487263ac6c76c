// SPDX-License-Identifier: Apache-2.0
// What typical programs cost per run: ns, the best of several rounds. No supervisor, no tracee: JIT code, maps and
// helpers alone, as BPF_PROG_TEST_RUN runs them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "emu/arena/arena.h"
#include "emu/bpf/program.h"
#include "emu/isa/opcode.h"

using namespace bpfemu;

namespace {

constexpr u32 kRuns = 1'000'000, kRounds = 7;
constexpr Insn kExit{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
constexpr Insn mov(u8 dst, s32 imm) {
  return {BPF_ALU64 | BPF_MOV | BPF_K, u8(dst & 15u), 0, 0, imm};
}
constexpr Insn call(s32 helper) {
  return {BPF_JMP | BPF_CALL, 0, 0, 0, helper};
}

u64 now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<u64>(t.tv_sec) * 1'000'000'000 + static_cast<u64>(t.tv_nsec);
}

void load_address(Insns& insns, u8 dst, const void* pointer) {
  const u64 value = reinterpret_cast<u64>(pointer);
  insns.push_back({BPF_LD | BPF_IMM | BPF_DW, u8(dst & 15u), 0, 0, static_cast<s32>(value)});
  insns.push_back({0, 0, 0, 0, static_cast<s32>(value >> 32)});
}

class Bench {
 public:
  Bench() : arena_(std::move(*Arena::create(1))) {
    env_.arena_end = arena_->end();
    env_.wake = [](void*, void*) {};
    run_.env = &env_;
    run_.cpu = &arena_->vcpu(0);
    run_.task = &task_;
    run_.cpus = 1;
  }

  // A map of the type with one element of 8 bytes under key 0.
  Map& map(u32 type, u32 key_size, u32 value_size, u32 entries) {
    const MapAttr attr{.type = type,
                       .key_size = key_size,
                       .value_size = value_size,
                       .max_entries = entries,
                       .flags = 0,
                       .extra = 0,
                       .cpus = 1,
                       .privileged = true};
    maps_.push_back(std::move(*MapObject::create(*arena_, attr, *map_ops(type))));
    Map& map = maps_.back()->map();
    const u64 zero = 0;
    if (key_size) map_ops(type)->update(&run_, map, &zero, &zero, BPF_ANY);
    return map;
  }

  void time(const char* name, Insns insns, u16 stack = 0, std::vector<u32> starts = {0}) {
    Program program;
    program.verified.insns = std::move(insns);
    program.verified.subprogram_starts = std::move(starts);
    program.verified.used_maps = maps_;
    program.verified.stack_depths.assign(program.verified.subprogram_starts.size(), stack);
    if (auto done = program.install(*arena_); !done) {
      fmt::print("{:28} cannot be installed: {}\n", name, std::strerror(done.error().value));
      std::exit(1);
    }
    const ProgramEntry entry = program.text().entry;
    double best = 1e9;
    for (u32 round = 0; round < kRounds; ++round) {
      const u64 start = now();
      for (u32 i = 0; i < kRuns; ++i) entry(&run_, nullptr);
      best = std::min(best, static_cast<double>(now() - start) / kRuns);
    }
    fmt::print("{:28} {:8.2f} ns  {:6} bytes of code\n", name, best, program.code_size());
  }

 private:
  std::unique_ptr<Arena> arena_;
  std::vector<std::shared_ptr<MapObject>> maps_;
  Env env_{};
  RunTask task_{};
  Run run_{};
};

// *lookup(map, &key) += 1, with key 0 on the stack.
Insns increment(const Map& map) {
  Insns insns{{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0},
              {BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
              {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8}};
  load_address(insns, 1, &map);
  insns.insert(insns.end(), {call(BPF_FUNC_map_lookup_elem),
                             {BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0},
                             mov(1, 1),
                             {BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD},
                             mov(0, 0),
                             kExit});
  return insns;
}

}  // namespace

int main() {
  Bench bench;
  bench.time("trivial", {mov(0, 0), kExit});

  Insns many(1000, Insn{BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1});
  many.insert(many.begin(), mov(0, 0));
  many.push_back(kExit);
  bench.time("1000 dependent additions", many);

  bench.time("loop of 100", {mov(0, 0),
                             mov(1, 100),
                             {BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0},
                             {BPF_ALU64 | BPF_SUB | BPF_K, 1, 0, 0, 1},
                             {BPF_JMP | BPF_JNE | BPF_K, 1, 0, -3, 0},
                             kExit});
  bench.time("subprogram call", {{BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1}, kExit, mov(0, 1), kExit}, 0, {0, 2});
  bench.time("helper call", {call(BPF_FUNC_get_smp_processor_id), kExit});
  bench.time("array increment", increment(bench.map(BPF_MAP_TYPE_ARRAY, 4, 8, 1)), 8);
  bench.time("per-CPU array increment", increment(bench.map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1)), 8);
  bench.time("hash increment", increment(bench.map(BPF_MAP_TYPE_HASH, 8, 8, 1024)), 8);

  Insns record{{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 1},
               {BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
               {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8}};
  // A queue that is emptied as it fills: push, then pop.
  const Map& queue = bench.map(BPF_MAP_TYPE_QUEUE, 0, 8, 16);
  load_address(record, 1, &queue);
  record.insert(record.end(), {mov(3, 0),
                               call(BPF_FUNC_map_push_elem),
                               {BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
                               {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8}});
  load_address(record, 1, &queue);
  record.insert(record.end(), {call(BPF_FUNC_map_pop_elem), mov(0, 0), kExit});
  bench.time("queue push and pop", record, 8);
}
