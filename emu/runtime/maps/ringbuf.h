// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_RINGBUF: one page of this head, a page with the consumer's position, one with the producer's, the data
// pages, and the data pages once more, so that every record is contiguous. Runtime code.
#pragma once

#include "emu/arena/layout.h"
#include "emu/runtime/maps/map.h"

namespace bpfemu {

struct RingHeader {
  u32 length;       // with BPF_RINGBUF_BUSY_BIT and BPF_RINGBUF_DISCARD_BIT
  u32 page_offset;  // pages from the RingMap to this header
};

struct RingMap : Map {
  u32 busy;  // of a user ring: somebody drains it
  u64& consumer() { return *reinterpret_cast<u64*>(reinterpret_cast<u8*>(this) + kPageSize); }
  u64& producer() { return *reinterpret_cast<u64*>(reinterpret_cast<u8*>(this) + 2 * kPageSize); }
  u64& pending() { return (&producer())[1]; }  // of the oldest record that is not committed
  u8* data() { return reinterpret_cast<u8*>(this) + 3 * kPageSize; }
  u64 mask() const { return max_entries - 1; }
};

// The helpers' work (kernel: bpf_ringbuf_reserve, _submit, _discard, _output, _query).
void* ring_reserve(Run* run, RingMap& map, u64 size);  // null: no room
void ring_commit(Run* run, void* record, u64 flags, bool discard);
s64 ring_output(Run* run, RingMap& map, const void* data, u64 size, u64 flags);
u64 ring_query(RingMap& map, u64 what);
// The oldest record that a tool has put into a user ring: its size, and where it is in `record` (kernel:
// __bpf_user_ringbuf_peek). -ENODATA: none that is finished; -EAGAIN: a discarded one, which is taken; -EINVAL, -E2BIG:
// what is there is none.
s64 user_ring_peek(RingMap& map, u8** record);
void user_ring_release(RingMap& map, u64 size);
// Bytes between consumer and producer: readable when not 0 (kernel: ringbuf_map_poll_kern).
u64 ring_available(RingMap& map);

}  // namespace bpfemu
