// SPDX-License-Identifier: Apache-2.0
#include "emu/test_run/test_run.h"

#include <ctime>

#include "emu/base/bytes.h"
#include "emu/test_run/bench.h"

namespace bpfemu {
namespace {

struct Kind {
  u32 program_type;
  TestKind run;
};
constexpr Kind kKinds[] = {
    {BPF_PROG_TYPE_SOCKET_FILTER, test_run_skb},
    {BPF_PROG_TYPE_SCHED_CLS, test_run_skb},
    {BPF_PROG_TYPE_SCHED_ACT, test_run_skb},
    {BPF_PROG_TYPE_CGROUP_SKB, test_run_skb},
    {BPF_PROG_TYPE_LWT_IN, test_run_skb},
    {BPF_PROG_TYPE_LWT_OUT, test_run_skb},
    {BPF_PROG_TYPE_LWT_XMIT, test_run_skb},
    {BPF_PROG_TYPE_LWT_SEG6LOCAL, test_run_skb},
    {BPF_PROG_TYPE_XDP, test_run_xdp},
    {BPF_PROG_TYPE_FLOW_DISSECTOR, test_run_flow_dissector},
    {BPF_PROG_TYPE_SK_LOOKUP, test_run_sk_lookup},
    {BPF_PROG_TYPE_RAW_TRACEPOINT, test_run_raw_tracepoint},
    {BPF_PROG_TYPE_SYSCALL, test_run_syscall},
    {BPF_PROG_TYPE_TRACING, test_run_tracing},
    {BPF_PROG_TYPE_STRUCT_OPS, test_run_struct_ops},
};

}  // namespace

Result<void> test_run(Arena& arena, const Program& program, const TestAttr& attr, TestCaller& caller) {
  for (const Kind& kind : kKinds) {
    if (kind.program_type != program.type) continue;
    TestBench bench{arena, program, attr, caller};
    return kind.run(bench);
  }
  return fail(ENOTSUPP);
}

u64 monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1000000000 + static_cast<u64>(now.tv_nsec);
}

Result<std::optional<ArenaMemory>> cgroup_storage(TestBench& bench, u64 (&addresses)[2]) {
  u64 size = 0;
  for (const auto& map : bench.program.verified.used_maps) {
    if (!has_trait(map->map(), kCgroupStorage)) continue;
    addresses[map->map().type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE] = size;
    size += round_up(map->map().value_size, sizeof(u64));
  }
  if (!size) return std::optional<ArenaMemory>();
  ArenaMemory memory = TRY(ArenaMemory::allocate(bench.arena, size));
  for (u64& address : addresses) address += memory.address();
  return std::optional(std::move(memory));
}

Result<Verdict> repeat(TestBench& bench, void* context) {
  const ProgramEntry entry = bench.program.text().entry;
  return repeat(bench, context, [=](Run& run) { return static_cast<u32>(entry(&run, context)); });
}

Result<std::optional<std::vector<u8>>> context_bytes(TestBench& bench, size_t known) {
  const TestAttr& attr = bench.attr;
  if (!attr.ctx_in && !attr.ctx_out) return std::optional<std::vector<u8>>();
  std::vector<u8> bytes;
  if (attr.ctx_in) {
    // Kernel: bpf_check_uarg_tail_zero.
    if (attr.ctx_size_in > kPageSize) return fail(E2BIG);
    bytes = TRY(bench.caller.copy_in(attr.ctx_in, attr.ctx_size_in));
    if (bytes.size() > known && !is_zero(bytes.data(), known, bytes.size())) return fail(E2BIG);
  }
  bytes.resize(known);
  return std::optional(std::move(bytes));
}

namespace {

// An answer that is cut short is ENOSPC, whatever becomes of the copying (kernel: `err` of bpf_test_finish).
Result<void> answered(bool copied, bool cut_short) {
  if (cut_short) return fail(ENOSPC);
  return copied ? Result<void>() : fail(EFAULT);
}

}  // namespace

Result<void> context_out(TestBench& bench, const void* context, u32 size) {
  const TestAttr& attr = bench.attr;
  if (!attr.ctx_out) return {};
  const bool cut_short = size > attr.ctx_size_out;
  const bool copied = bench.caller.copy_out(attr.ctx_out, context, cut_short ? attr.ctx_size_out : size) &&
                      bench.caller.put_attr(offsetof(bpf_attr, test.ctx_size_out), &size, sizeof size);
  return answered(copied, cut_short);
}

Result<std::vector<u8>> data_in(TestBench& bench, u64 size, u64 headroom, u64 tailroom) {
  if (size > kPageSize - headroom - tailroom) return fail(EINVAL);
  return bench.caller.copy_in(bench.attr.data_in, size);
}

namespace {

Result<void> give(TestBench& bench, const DataOut& out, const Verdict& verdict) {
  const TestAttr& attr = bench.attr;
  TestCaller& caller = bench.caller;
  const bool cut_short = attr.data_size_out && out.size > attr.data_size_out;
  const u32 room = cut_short ? attr.data_size_out : out.size;
  bool copied = true;
  if (attr.data_out) {
    // With frags, what is left for the linear part must not be negative.
    if (room < out.tail_size) return fail(ENOSPC);
    const u32 linear = room - out.tail_size;
    copied = caller.copy_out(attr.data_out, out.data, linear) &&
             (!out.tail_size || caller.copy_out(attr.data_out + linear, out.tail, out.tail_size));
  }
  // The three results lie close together: one write of all that is between them costs less than three.
  TestAttr results = attr;
  results.data_size_out = out.size;
  results.retval = verdict.retval;
  results.duration = verdict.duration;
  constexpr size_t kFirst = offsetof(TestAttr, retval), kEnd = offsetof(TestAttr, duration) + sizeof(u32);
  static_assert(kFirst < offsetof(TestAttr, data_size_out) && offsetof(TestAttr, data_size_out) < kEnd);
  copied = copied && caller.put_attr(offsetof(bpf_attr, test) + kFirst, &results.retval, kEnd - kFirst);
  return answered(copied, cut_short);
}

}  // namespace

// A program that listens may make any number of it, which is then what bpf() returns, be it an error or not.
Result<void> finish(TestBench& bench, const DataOut& out, const Verdict& verdict) {
  const Result<void> given = give(bench, out, verdict);
  const s32 result = bench.caller.finished(given ? 0 : -given.error().value);
  return result == 0 ? Result<void>() : fail(-result);
}

}  // namespace bpfemu
