// SPDX-License-Identifier: Apache-2.0
// What the kinds of test runs share: memory for the objects, the tool's context struct, the loop, the answer.
// Internal to the folder.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "emu/test_run/test_run.h"

namespace bpfemu {

inline constexpr u64 kSharedInfo = 320;  // SKB_DATA_ALIGN(sizeof(struct skb_shared_info))
inline constexpr u32 kLoopback = 1;      // ifindex of lo

struct TestBench {
  Arena& arena;
  const Program& program;
  const TestAttr& attr;
  TestCaller& caller;
};
using TestKind = Result<void> (*)(TestBench& bench);

Result<void> test_run_skb(TestBench& bench);
Result<void> test_run_xdp(TestBench& bench);
Result<void> test_run_flow_dissector(TestBench& bench);
Result<void> test_run_sk_lookup(TestBench& bench);
Result<void> test_run_raw_tracepoint(TestBench& bench);
Result<void> test_run_syscall(TestBench& bench);
Result<void> test_run_tracing(TestBench& bench);
Result<void> test_run_struct_ops(TestBench& bench);

// Arena memory for the time of a run, zeroed.
class ArenaMemory {
 public:
  static Result<ArenaMemory> allocate(Arena& arena, u64 size) { return ArenaMemory(arena, TRY(arena.allocate(size))); }
  ~ArenaMemory() {
    if (arena_) arena_->release(extent_);
  }
  ArenaMemory(ArenaMemory&& other) noexcept : arena_(std::exchange(other.arena_, nullptr)), extent_(other.extent_) {}
  ArenaMemory& operator=(ArenaMemory&&) = delete;
  u64 address() const { return extent_.address; }
  u8* at(u64 offset) const { return reinterpret_cast<u8*>(extent_.address + offset); }

 private:
  ArenaMemory(Arena& arena, Extent extent) : arena_(&arena), extent_(extent) {}
  Arena* arena_;
  Extent extent_;
};

// What a run came to.
struct Verdict {
  u32 retval = 0;
  u32 duration = 0;  // ns a repetition
};

// Calls `once(run)` attr.repeat times, at least once (kernel: bpf_test_run, bpf_test_timer_continue). EINTR.
template <class Once>
Result<Verdict> repeat(TestBench& bench, void* context, Once once);
// ... the program itself.
Result<Verdict> repeat(TestBench& bench, void* context);

// The tool's context struct: copied in, zero where the tool's is shorter; none when it neither gives nor wants one
// (kernel: bpf_ctx_init). E2BIG, EFAULT.
template <class T>
Result<std::optional<T>> context_in(TestBench& bench);
// Kernel: bpf_ctx_finish. ENOSPC when the tool's room is too small for all of it.
Result<void> context_out(TestBench& bench, const void* context, u32 size);

// The tool's packet, checked as the kernel does for a buffer of one page (kernel: bpf_test_init).
Result<std::vector<u8>> data_in(TestBench& bench, u64 size, u64 headroom, u64 tailroom);
// A packet's two parts; `tail` holds xdp's frags.
struct DataOut {
  const void* data = nullptr;
  u32 size = 0;  // of both
  const void* tail = nullptr;
  u32 tail_size = 0;
};
// The answer: data, its size, verdict (kernel: bpf_test_finish). ENOSPC as there.
Result<void> finish(TestBench& bench, const DataOut& out, const Verdict& verdict);

// Are bytes [from, to) zero?
inline bool is_zero(const void* object, size_t from, size_t to) {
  const u8* bytes = static_cast<const u8*>(object);
  return std::all_of(bytes + from, bytes + to, [](u8 byte) { return byte == 0; });
}

u64 monotonic_ns();

// Values of the program's cgroup storage maps, none without such a map (kernel: bpf_cgroup_storage_alloc).
Result<std::optional<ArenaMemory>> cgroup_storage(TestBench& bench, u64 (&addresses)[2]);

template <class Once>
Result<Verdict> repeat(TestBench& bench, void* context, Once once) {
  constexpr u64 kSlice = 200'000, kShort = 50'000;  // ns
  const u32 count = std::max(bench.attr.repeat, u32{1});
  ProgramText& text = bench.program.text();
  u64 storage_at[2] = {};
  auto storage = TRY(cgroup_storage(bench, storage_at));
  Verdict verdict;
  bool interrupted = false;
  TRY(bench.caller.with_run(-1, [&](Run& run) {
    run.program = &text;
    run.context = context;
    std::copy(std::begin(storage_at), std::end(storage_at), run.cgroup_storage);
    u64 start = monotonic_ns(), spent = 0;
    for (u32 done = 0, batch = 1; done < count && !interrupted;) {
      const u32 times = std::min(count - done, batch);
      for (u32 i = 0; i < times; ++i) verdict.retval = once(run);
      done += times;
      if (run.counted) text.stat_runs += times;
      const u64 now = monotonic_ns(), slice = now - start;
      if (slice < kShort && batch < 1u << 30) batch *= 2;
      if (slice < kSlice && done < count) continue;
      spent += slice;
      if (run.counted) text.stat_ns += slice;
      if (done < count) interrupted = bench.caller.interrupted();
      start = monotonic_ns();
      batch = std::max(batch / 2, 1u);
    }
    verdict.duration = static_cast<u32>(std::min<u64>(spent / count, ~u32{0}));
  }));
  if (interrupted) return fail(EINTR);
  return verdict;
}

// The tool's struct as far as it fits into `known` bytes; none without one.
Result<std::optional<std::vector<u8>>> context_bytes(TestBench& bench, size_t known);

template <class T>
Result<std::optional<T>> context_in(TestBench& bench) {
  auto bytes = TRY(context_bytes(bench, sizeof(T)));
  if (!bytes) return std::optional<T>();
  T context;
  std::memcpy(&context, bytes->data(), sizeof context);
  return context;
}

}  // namespace bpfemu
