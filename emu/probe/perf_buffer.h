// SPDX-License-Identifier: Apache-2.0
// The buffer behind an mmap of a perf event, shared by all events whose output goes there (kernel: struct perf_buffer).
#pragma once

#include <memory>

#include "emu/arena/arena.h"
#include "emu/runtime/perf_ring.h"

namespace bpfemu {

class PerfBuffer {
 public:
  // `pages` data pages, 0 or a power of two. ENOMEM.
  static Result<std::shared_ptr<PerfBuffer>> create(Arena& arena, u32 pages, u64 wakeup_watermark, bool writable);
  ~PerfBuffer();
  PerfBuffer(const PerfBuffer&) = delete;
  PerfBuffer& operator=(const PerfBuffer&) = delete;

  PerfRing& ring() const { return *reinterpret_cast<PerfRing*>(extent_.address); }
  Extent extent() const { return extent_; }
  // What the tool maps: the header page and the data.
  u64 area() const { return perf_ring_area(ring()); }

 private:
  PerfBuffer(Arena& arena, Extent extent) : arena_(arena), extent_(extent) {}
  Arena& arena_;
  Extent extent_;
};

}  // namespace bpfemu
