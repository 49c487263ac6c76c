// SPDX-License-Identifier: Apache-2.0
// Programs whose context is a plain piece of memory: raw tracepoints and syscall programs.
#include "emu/test_run/bench.h"

namespace bpfemu {
namespace {

constexpr u32 kMaxArguments = 12 * 8;  // MAX_BPF_FUNC_ARGS
constexpr u32 kMaxSyscallContext = 0xffff;

// Runs the program once on a copy of the tool's context, which stays in `memory`.
Result<u32> run_once(TestBench& bench, int cpu, std::optional<ArenaMemory>& memory) {
  const TestAttr& attr = bench.attr;
  if (attr.ctx_size_in) {
    const std::vector<u8> bytes = TRY(bench.caller.copy_in(attr.ctx_in, attr.ctx_size_in));
    memory.emplace(TRY(ArenaMemory::allocate(bench.arena, bytes.size())));
    std::memcpy(memory->at(0), bytes.data(), bytes.size());
  }
  void* context = memory ? memory->at(0) : nullptr;
  ProgramText& text = bench.program.text();
  u32 retval = 0;
  TRY(bench.caller.with_run(cpu, [&](Run& run) {
    run.program = &text;
    run.context = context;
    const u64 start = monotonic_ns();
    retval = static_cast<u32>(text.entry(&run, context));
    if (run.counted) ++text.stat_runs, text.stat_ns += monotonic_ns() - start;
  }));
  return retval;
}

}  // namespace

// Kernel: bpf_prog_test_run_raw_tp.
Result<void> test_run_raw_tracepoint(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  if (attr.data_in || attr.data_out || attr.ctx_out || attr.duration || attr.repeat || attr.batch_size)
    return fail(EINVAL);
  if (attr.ctx_size_in < bench.program.verified.max_ctx_offset || attr.ctx_size_in > kMaxArguments) return fail(EINVAL);
  const bool on_cpu = attr.flags & BPF_F_TEST_RUN_ON_CPU;
  if (!on_cpu && attr.cpu) return fail(EINVAL);

  std::optional<ArenaMemory> memory;
  const u32 retval = TRY(run_once(bench, on_cpu ? static_cast<int>(attr.cpu & 0x7fffffff) : -1, memory));
  return bench.caller.put_attr(offsetof(bpf_attr, test.retval), &retval, sizeof retval);
}

// Kernel: bpf_prog_test_run_syscall.
Result<void> test_run_syscall(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  if (attr.data_in || attr.data_out || attr.ctx_out || attr.duration || attr.repeat || attr.flags || attr.batch_size)
    return fail(EINVAL);
  if (attr.ctx_size_in < bench.program.verified.max_ctx_offset || attr.ctx_size_in > kMaxSyscallContext)
    return fail(EINVAL);

  std::optional<ArenaMemory> memory;
  const u32 retval = TRY(run_once(bench, -1, memory));
  TRY(bench.caller.put_attr(offsetof(bpf_attr, test.retval), &retval, sizeof retval));
  return memory ? bench.caller.copy_out(attr.ctx_in, memory->at(0), attr.ctx_size_in) : Result<void>();
}

}  // namespace bpfemu
