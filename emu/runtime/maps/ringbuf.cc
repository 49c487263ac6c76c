// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_RINGBUF, and BPF_MAP_TYPE_USER_RINGBUF, which has the same layout.
#include "emu/runtime/maps/ringbuf.h"

#include "emu/runtime/held_lock.h"
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u64 kMaxRecord = 0xffffffff / 4;  // RINGBUF_MAX_RECORD_SZ

u64 record_space(u64 size) {
  return round_up(size + BPF_RINGBUF_HDR_SZ, 8);
}

s64 alloc_check(const MapAttr& attr) {
  if (attr.flags & ~BPF_F_NUMA_NODE) return -EINVAL;
  if (attr.key_size || attr.value_size || !is_power_of_two(attr.max_entries) || attr.max_entries % kPageSize) {
    return -EINVAL;
  }
  return 0;
}

u64 footprint(const MapAttr& attr) {
  return 3 * kPageSize + 2 * u64{attr.max_entries};
}
u64 mirrored(const MapAttr& attr) {
  return attr.max_entries;
}
void init(Map&) {}

s64 mmap_area(Map& map, u64* offset, u64* length) {
  *offset = kPageSize;
  *length = 2 * kPageSize + 2 * u64{map.max_entries};
  return 0;
}

constexpr MapOps kOps = {.alloc_check = alloc_check,
                         .footprint = footprint,
                         .init = init,
                         .mirrored = mirrored,
                         .erase = refuse_key<-ENOTSUPP>,
                         .get_next_key = refuse_next<-ENOTSUPP>,
                         .copy_value = refuse_copy<-ENOTSUPP>,
                         .update_value = refuse_update<-ENOTSUPP>,
                         .mmap_area = mmap_area};

}  // namespace

u64 ring_available(RingMap& map) {
  u64 consumer = __atomic_load_n(&map.consumer(), __ATOMIC_ACQUIRE);
  return __atomic_load_n(&map.producer(), __ATOMIC_ACQUIRE) - consumer;
}

void* ring_reserve(Run* run, RingMap& map, u64 size) {
  if (size > kMaxRecord) return nullptr;
  u64 space = record_space(size);
  if (space > map.max_entries) return nullptr;
  u64 consumer = __atomic_load_n(&map.consumer(), __ATOMIC_ACQUIRE);
  HeldLock lock(run, map.lock);
  u64 pending = map.pending(), start = map.producer(), end = start + space;
  while (pending < start) {
    u32 length =
        __atomic_load_n(&reinterpret_cast<RingHeader*>(map.data() + (pending & map.mask()))->length, __ATOMIC_ACQUIRE);
    if (length & BPF_RINGBUF_BUSY_BIT) break;
    pending += record_space(length & ~BPF_RINGBUF_DISCARD_BIT);
  }
  map.pending() = pending;
  // Neither the consumer nor the oldest record in the making may be overtaken.
  if (end - consumer > map.mask() || end - pending > map.mask()) return nullptr;
  auto* header = reinterpret_cast<RingHeader*>(map.data() + (start & map.mask()));
  header->length = static_cast<u32>(size) | BPF_RINGBUF_BUSY_BIT;
  header->page_offset = static_cast<u32>((reinterpret_cast<u8*>(header) - reinterpret_cast<u8*>(&map)) / kPageSize);
  __atomic_store_n(&map.producer(), end, __ATOMIC_RELEASE);
  return header + 1;
}

void ring_commit(Run* run, void* record, u64 flags, bool discard) {
  auto* header = static_cast<RingHeader*>(record) - 1;
  u64 page = round_down(reinterpret_cast<u64>(header), kPageSize);
  RingMap& map = *reinterpret_cast<RingMap*>(page - u64{header->page_offset} * kPageSize);
  u32 length = header->length & ~BPF_RINGBUF_BUSY_BIT;
  // A full barrier, as the consumer's position is read after it.
  __atomic_exchange_n(&header->length, discard ? length | BPF_RINGBUF_DISCARD_BIT : length, __ATOMIC_SEQ_CST);
  u64 position = static_cast<u64>(reinterpret_cast<u8*>(header) - map.data());
  u64 consumer = __atomic_load_n(&map.consumer(), __ATOMIC_ACQUIRE) & map.mask();
  // A consumer that is behind will find the record by itself.
  bool wake = (flags & BPF_RB_FORCE_WAKEUP) || (consumer == position && !(flags & BPF_RB_NO_WAKEUP));
  if (wake && run->env->wake) run->env->wake(run->env->self, &map);
}

s64 ring_output(Run* run, RingMap& map, const void* data, u64 size, u64 flags) {
  if (flags & ~u64{BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP}) return -EINVAL;
  void* record = ring_reserve(run, map, size);
  if (!record) return -EAGAIN;
  __builtin_memcpy(record, data, size);
  ring_commit(run, record, flags, false);
  return 0;
}

u64 ring_query(RingMap& map, u64 what) {
  u64 positions[] = {ring_available(map), map.max_entries, __atomic_load_n(&map.consumer(), __ATOMIC_ACQUIRE),
                     __atomic_load_n(&map.producer(), __ATOMIC_ACQUIRE)};
  return what <= BPF_RB_PROD_POS ? positions[what] : 0;
}

s64 user_ring_peek(RingMap& map, u8** record) {
  constexpr u32 kMarks = BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT;
  constexpr u64 kMaxDynptr = (1 << 24) - 1;  // DYNPTR_MAX_SIZE
  const u64 producer = __atomic_load_n(&map.producer(), __ATOMIC_ACQUIRE);
  const u64 consumer = __atomic_load_n(&map.consumer(), __ATOMIC_ACQUIRE);
  if (producer % 8) return -EINVAL;
  if (consumer >= producer) return -ENODATA;
  u8* header = map.data() + (consumer & map.mask() & ~u64{7});
  const u32 marked = __atomic_load_n(reinterpret_cast<u32*>(header), __ATOMIC_ACQUIRE);
  const u32 size = marked & ~kMarks;
  if (record_space(size) > producer - consumer) return -EINVAL;
  if (record_space(size) > map.max_entries || size > kMaxDynptr) return -E2BIG;
  if (marked & BPF_RINGBUF_DISCARD_BIT) {
    user_ring_release(map, size);
    return -EAGAIN;
  }
  if (marked & BPF_RINGBUF_BUSY_BIT) return -ENODATA;
  *record = map.data() + ((consumer + BPF_RINGBUF_HDR_SZ) & map.mask());
  return size;
}

void user_ring_release(RingMap& map, u64 size) {
  __atomic_store_n(&map.consumer(), map.consumer() + record_space(size), __ATOMIC_RELEASE);
}

const MapOps ringbuf_ops = kOps;
const MapOps user_ringbuf_ops = kOps;

}  // namespace bpfemu
