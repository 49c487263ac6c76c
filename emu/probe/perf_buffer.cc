// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/perf_buffer.h"

namespace bpfemu {

Result<std::shared_ptr<PerfBuffer>> PerfBuffer::create(Arena& arena, u32 pages, u64 wakeup_watermark, bool writable) {
  const Extent extent = TRY(arena.allocate(perf_ring_footprint(pages)));
  if (Result<void> r = arena.commit(extent.size); !r) return arena.release(extent), fail(r.error().value);
  auto buffer = std::shared_ptr<PerfBuffer>(new PerfBuffer(arena, extent));
  perf_ring_init(buffer->ring(), pages, wakeup_watermark, writable);
  return buffer;
}

PerfBuffer::~PerfBuffer() {
  arena_.release(extent_);
  arena_.uncommit(extent_.size);
}

}  // namespace bpfemu
