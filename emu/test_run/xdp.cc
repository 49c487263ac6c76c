// SPDX-License-Identifier: Apache-2.0
// Kernel: bpf_prog_test_run_xdp.
#include <net/if.h>

#include <algorithm>

#include "emu/runtime/contexts.h"
#include "emu/test_run/bench.h"

namespace bpfemu {
namespace {

constexpr u32 kHeadroom = 256;    // XDP_PACKET_HEADROOM
constexpr u32 kMaxMetadata = 32;  // xdp_metalen_invalid
constexpr u32 kMaxFrags = 17;     // MAX_SKB_FRAGS, a page each
constexpr u32 kMaxBatch = 256;    // TEST_XDP_MAX_BATCH
constexpr u32 kPageHead = 152;    // sizeof(struct xdp_page_head), in front of a live frame
constexpr u64 kFrameAt = 0, kFragsAt = kPageSize;
constexpr u64 kObjectAt = kFrameAt + kPageSize - kSharedInfo;  // where the kernel keeps what belongs to the frame
static_assert(sizeof(RunXdp) <= kSharedInfo);
constexpr u64 kFootprint = kFragsAt + kMaxFrags * kPageSize;

// Where the tool's xdp_md says that the packet came from (kernel: xdp_convert_md_to_buff).
Result<void> set_source(RunXdp& xdp, const xdp_md& context) {
  if (context.egress_ifindex) return fail(EINVAL);
  if (!context.ingress_ifindex) return context.rx_queue_index ? Result<void>(fail(EINVAL)) : Result<void>();
  char name[IF_NAMESIZE];
  if (!if_indextoname(context.ingress_ifindex, name)) return fail(ENODEV);
  if (context.rx_queue_index) return fail(EINVAL);  // devices here have one queue
  xdp.ingress_ifindex = context.ingress_ifindex;
  return {};
}

// Frames that are dropped where they are: each finds what the one before has written, but begins and ends where the tool
// said (kernel: xdp_test_run_batch, reset_ctx). Whoever lets one go on needs a device.
Result<Verdict> run_live(TestBench& bench, RunXdp& xdp) {
  const RunXdp at_first = xdp;
  const ProgramEntry entry = bench.program.text().entry;
  bool goes_on = false;
  Verdict verdict = TRY(repeat(bench, &xdp, [&](Run& run) -> u32 {
    xdp = at_first;
    const u32 action = static_cast<u32>(entry(&run, &xdp));
    goes_on |= action == XDP_PASS || action == XDP_TX || action == XDP_REDIRECT;
    return action;
  }));
  if (goes_on) bench.caller.unmodelled("live frames of BPF_PROG_TEST_RUN that are not dropped");
  xdp = at_first;
  verdict.retval = 0;
  return verdict;
}

}  // namespace

Result<void> test_run_xdp(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  const u32 attach_type = bench.program.expected_attach_type;
  if (attach_type == BPF_XDP_DEVMAP || attach_type == BPF_XDP_CPUMAP) return fail(EINVAL);
  if (attr.flags & ~u32{BPF_F_TEST_XDP_LIVE_FRAMES}) return fail(EINVAL);
  const bool live = attr.flags & BPF_F_TEST_XDP_LIVE_FRAMES;
  if (live && attr.batch_size > kMaxBatch) return fail(E2BIG);
  if (!live && attr.batch_size) return fail(EINVAL);

  auto context = TRY(context_in<xdp_md>(bench));
  const u32 size = attr.data_size_in;
  u32 metadata = 0, linear = size;
  if (context) {
    if (context->data_meta || context->data_end > size || context->data > context->data_end) return fail(EINVAL);
    if (live && (attr.data_out || attr.ctx_out)) return fail(EINVAL);
    metadata = context->data;
    if (metadata % 4 != 0 || metadata > kMaxMetadata) return fail(EINVAL);
    linear = context->data_end;
  }
  const u32 headroom = kHeadroom - metadata;
  const u32 before = headroom + (live ? kPageHead : 0);
  linear = std::min(linear, static_cast<u32>(kPageSize - before - kSharedInfo));
  if (live && size > linear) return fail(EINVAL);
  if (size - metadata < kEthernetHeader) return fail(EINVAL);
  const std::vector<u8> head = TRY(data_in(bench, linear, before, kSharedInfo));

  ArenaMemory memory = TRY(ArenaMemory::allocate(bench.arena, kFootprint));
  auto& xdp = *new (memory.at(kObjectAt)) RunXdp{};
  xdp.data_hard_start = memory.address() + kFrameAt;
  xdp.data_meta = xdp.data_hard_start + headroom;
  xdp.data = xdp.data_meta + metadata;
  xdp.data_end = xdp.data_meta + linear;
  xdp.frame_end = xdp.data_hard_start + kPageSize - kSharedInfo;
  xdp.ingress_ifindex = kLoopback;
  xdp.frags = memory.address() + kFragsAt;
  std::copy(head.begin(), head.end(), memory.at(kFrameAt + headroom));
  if (context) TRY(set_source(xdp, *context));
  if (size > linear) {
    if (size - linear > kMaxFrags * kPageSize) return fail(ENOMEM);
    const std::vector<u8> rest = TRY(bench.caller.copy_in(attr.data_in + linear, size - linear));
    std::memcpy(memory.at(kFragsAt), rest.data(), rest.size());
    xdp.frags_size = size - linear;
    xdp.has_frags = 1;
  }

  const Verdict verdict = TRY(live ? run_live(bench, xdp) : repeat(bench, &xdp));
  if (live) std::copy(head.begin(), head.end(), memory.at(kFrameAt + headroom));

  if (context) {
    context->data = static_cast<u32>(xdp.data - xdp.data_meta);
    context->data_end = static_cast<u32>(xdp.data_end - xdp.data_meta);
  }
  const DataOut out{.data = reinterpret_cast<const void*>(xdp.data_meta),
                    .size = static_cast<u32>(xdp.data_end - xdp.data_meta) + xdp.frags_size,
                    .tail = reinterpret_cast<const void*>(xdp.frags),
                    .tail_size = xdp.frags_size};
  TRY(finish(bench, out, verdict));
  return context ? context_out(bench, &*context, sizeof(xdp_md)) : Result<void>();
}

}  // namespace bpfemu
