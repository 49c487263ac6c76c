// SPDX-License-Identifier: Apache-2.0
// Perf buffers: what a tool maps over a perf event's fd, and the records that go into it. Runtime code: programs write
// samples through bpf_perf_event_output wherever they run, so both structs live in the arena.
//
// The control plane, in short:
//   perf_event_open  allocate sizeof(PerfEventState), fill it in; PERF_EVENT_ARRAY elements hold its address
//   mmap             allocate perf_ring_footprint(pages), perf_ring_init(), state.ring = it; show perf_ring_area()
//   IOC_SET_OUTPUT   state.ring = the other event's ring
//   IOC_PAUSE_OUTPUT ring.paused
//   poll             perf_ring_take_poll(): readable once per wakeup (kernel: perf_poll)
#pragma once

#include <linux/perf_event.h>

#include "emu/arena/layout.h"
#include "emu/arena/lock.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// A mapped buffer. Its extent is one page of this, then the perf_event_mmap_page, then the data pages.
struct PerfRing {
  ArenaLock lock;
  u32 pages;        // data pages: 0 or a power of two
  u32 paused;       // drops records, and counts them as lost
  u32 overwrite;    // mapped without PROT_WRITE: data_tail is not looked at
  u32 poll;         // EPOLLIN since the last perf_ring_take_poll()
  u32 wake_source;  // kept by the control plane
  u64 head;
  u64 wakeup;  // data_head at the last watermark wakeup
  u64 watermark;
  u64 lost;    // records dropped since the last PERF_RECORD_LOST
  u32 events;  // samples since the last wakeup_events wakeup

  perf_event_mmap_page* page() {
    return reinterpret_cast<perf_event_mmap_page*>(reinterpret_cast<u8*>(this) + kPageSize);
  }
  u8* data() { return reinterpret_cast<u8*>(this) + 2 * kPageSize; }
  u64 data_size() const { return pages * kPageSize; }
};

// A perf event as programs and record writers see it.
struct PerfEventState {
  u32 type;  // perf_event_attr
  u64 config;
  u64 sample_type;
  u64 id, stream_id;  // PERF_SAMPLE_ID: of the group's or inherited-from event; PERF_SAMPLE_STREAM_ID: its own
  u64 read_format;
  u32 wakeup_events;  // with `watermark`, bytes instead (attr.wakeup_watermark goes to perf_ring_init)
  bool watermark;
  bool sample_id_all;
  bool write_backward;  // records go down from the end, the newest first
  s32 cpu;           // where it counts, -1: wherever its task runs
  u32 active;        // enabled and scheduled in: elsewhere event->oncpu is not -1
  u64 lost_samples;  // PERF_FORMAT_LOST
  u64 count;         // counter value
  u64 time;          // nanoseconds that it was enabled, and running
  u64 since;         // counts by the wall clock since then: not in `time` yet; 0: it does not
  u64 regs_user;     // attr.sample_regs_user
  u32 stack_user;    // attr.sample_stack_user
  s32 clock;         // clockid of PERF_SAMPLE_TIME
  PerfRing* ring;    // null until mapped
  PerfEventState* leader;  // of its group, null: itself
  PerfEventState* next;    // the next in the group, of the leader the first sibling
  u32 siblings;            // of a leader
};

// What a sample can carry. Fields that the event's sample_type does not ask for are ignored.
struct PerfSample {
  u16 misc = PERF_RECORD_MISC_KERNEL;
  u32 pid = 0, tid = 0, cpu = 0;
  u64 ip = 0, time = 0, addr = 0, period = 1, cgroup = 0;
  u64 stream_id = 0;  // of the event that the task inherited; 0: the event's own
  const PtRegs* user_regs = nullptr;  // for PERF_SAMPLE_REGS_USER and STACK_USER
  const u64* callchain = nullptr;
  u32 callchain_size = 0;
  const void* raw = nullptr;  // PERF_SAMPLE_RAW: raw_head first, then raw, then raw_tail
  u32 raw_size = 0;
  const void* raw_head = nullptr;
  u32 raw_head_size = 0;
  const void* raw_tail = nullptr;
  u32 raw_tail_size = 0;
};

u64 perf_ring_footprint(u32 pages);
// In zeroed memory of that footprint. `wakeup_watermark`: attr's when attr.watermark is set, else 0.
void perf_ring_init(PerfRing& ring, u32 pages, u64 wakeup_watermark, bool writable);
// What an mmap of the event's fd shows, as an arena address; (1 + pages) * kPageSize bytes.
inline u64 perf_ring_area(PerfRing& ring) {
  return reinterpret_cast<u64>(ring.page());
}
// Readable since the last call? Clears it.
inline bool perf_ring_take_poll(PerfRing& ring) {
  return __atomic_exchange_n(&ring.poll, 0, __ATOMIC_ACQ_REL) != 0;
}
inline bool perf_ring_has_data(PerfRing& ring) {
  return __atomic_load_n(&ring.page()->data_head, __ATOMIC_ACQUIRE) !=
         __atomic_load_n(&ring.page()->data_tail, __ATOMIC_ACQUIRE);
}

// Writes one PERF_RECORD_SAMPLE and wakes the consumer as wakeup_events or the watermark say (kernel:
// perf_event_output). 0; -ENOSPC when the ring is full, paused or missing, which counts as lost; -E2BIG.
s64 perf_event_sample(Run* run, PerfEventState& event, const PerfSample& sample);
// Writes a record that is no sample (PERF_RECORD_COMM, MMAP2, FORK, ...): `body` follows the header, and the sample_id
// fields follow it when the event has sample_id_all.
s64 perf_event_record(Run* run, PerfEventState& event, u32 type, const void* body, u32 size, const PerfSample& sample);

}  // namespace bpfemu
