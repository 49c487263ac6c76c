// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/hash_table.h"

#include "emu/runtime/maps/lru.h"

namespace bpfemu {

namespace {

constexpr u32 kHashFlags = BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | kAccessMask | BPF_F_ZERO_SEED;
constexpr u64 kElementHead = 48;  // sizeof(struct htab_elem)
constexpr u64 kMaxEntries = u64{1} << 31;
constexpr u64 kBucketLimit = 0xffffffff / 16;  // of the kernel's struct bucket
constexpr u64 kMaxElements = u64{1} << 31;     // what a link can name

bool is_lru_type(u32 type) {
  return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

// With a list per CPU each gets the same number of elements (kernel: htab_map_alloc).
u64 rounded_entries(u32 max_entries, u32 flags, u32 cpus) {
  if (!(flags & BPF_F_NO_COMMON_LRU)) return max_entries;
  u64 rounded = (u64{max_entries} + cpus - 1) / cpus * cpus;
  return rounded <= 0xffffffff ? rounded : u64{max_entries} / cpus * cpus;
}

// Replacing an element needs a second one for a moment, on each CPU at once. LRU maps evict instead, but an update
// takes its element before it knows whether it needs one.
u64 element_count(u64 entries, u32 cpus, bool lru) {
  return lru ? entries : entries + cpus + 1;
}

struct Layout {
  u64 buckets, elements, values, states, size;
  u64 between;  // how much of that only keeps values and the rest on different pages
  u64 bucket_count, count;
  u32 key_at, stride;
};

Layout layout(u32 type, u64 entries, u32 key_size, u64 value_bytes, u32 cpus) {
  Layout l;
  l.bucket_count = round_up_power_of_two(entries);
  l.count = element_count(entries, cpus, is_lru_type(type));
  l.key_at = static_cast<u32>(round_up(is_lru_type(type) ? sizeof(LruElement) : sizeof(HashElement), 8));
  l.stride = static_cast<u32>(l.key_at + round_up(key_size, 8));
  l.buckets = round_up(is_lru_type(type) ? sizeof(LruMap) : sizeof(HashMap), 64);
  l.elements = round_up(l.buckets + l.bucket_count * sizeof(HashBucket), 64);
  const bool inside = has_trait(type, kWriteInside);
  const u64 page = inside ? kPageSize : 8, elements_end = l.elements + l.count * l.stride;
  l.values = round_up(elements_end, page);
  l.states = l.values + l.count * value_bytes;
  l.size = round_up(l.states + (inside ? sizeof(ElementStates) + l.count * sizeof(u64) : 0), page);
  l.between = l.size - elements_end - l.count * value_bytes;
  if (l.count >= kMaxElements) l.size = kNever;
  return l;
}

// Newton's iteration doubles the good bits; an odd number is its own inverse modulo 8.
u64 inverse(u64 odd) {
  u64 x = odd;
  for (int bits = 3; bits < 64; bits *= 2) x *= 2 - odd * x;
  return x;
}

}  // namespace

s64 hash_alloc_check(const MapAttr& attr, bool per_cpu) {
  bool lru = is_lru_type(attr.type), own_lists = attr.flags & BPF_F_NO_COMMON_LRU;
  if (lru && !attr.privileged) return -EPERM;
  if ((attr.flags & BPF_F_ZERO_SEED) && !attr.privileged) return -EPERM;
  if ((attr.flags & ~kHashFlags) || !access_ok(attr.flags)) return -EINVAL;
  if (!lru && own_lists) return -EINVAL;
  if (lru && (attr.flags & BPF_F_NO_PREALLOC)) return -ENOTSUPP;
  if ((attr.flags & BPF_F_NUMA_NODE) && (per_cpu || own_lists)) return -EINVAL;
  if (attr.max_entries == 0 || attr.key_size == 0 || attr.value_size == 0) return -EINVAL;
  if (u64{attr.key_size} + attr.value_size >= kKmallocMax - kElementHead) return -E2BIG;
  if (per_cpu && round_up(attr.value_size, 8) > kPerCpuUnitMin) return -E2BIG;
  u64 entries = rounded_entries(attr.max_entries, attr.flags, attr.cpus);
  if (entries > kMaxEntries || round_up_power_of_two(entries) > kBucketLimit) return -E2BIG;
  return 0;
}

u64 hash_footprint(const MapAttr& attr, u64 value_bytes) {
  u64 entries = rounded_entries(attr.max_entries, attr.flags, attr.cpus);
  return layout(attr.type, entries, attr.key_size, value_bytes, attr.cpus).size;
}

u64 hash_committed(const MapAttr& attr, u64 value_bytes) {
  u64 entries = rounded_entries(attr.max_entries, attr.flags, attr.cpus);
  Layout l = layout(attr.type, entries, attr.key_size, value_bytes, attr.cpus);
  if (attr.flags & BPF_F_NO_PREALLOC) return l.elements;
  return l.size == kNever ? kNever : l.size - l.between;
}

void hash_init(Map& base, u64 value_bytes) {
  HashMap& map = static_cast<HashMap&>(base);
  map.max_entries = static_cast<u32>(rounded_entries(map.max_entries, map.flags, map.cpus));
  Layout l = layout(map.type, map.max_entries, map.key_size, value_bytes, map.cpus);
  map.buckets = l.buckets;
  map.elements = l.elements;
  map.values = l.values;
  map.states = l.states;
  map.bucket_mask = static_cast<u32>(l.bucket_count - 1);
  map.stride = l.stride;
  map.stride_shift = static_cast<u32>(__builtin_ctz(l.stride));
  map.stride_inverse = inverse(l.stride >> map.stride_shift);
  map.value_bytes = value_bytes;
  map.value_scale = map.stride_inverse * value_bytes;
  map.key_at = l.key_at;
  if (has_trait(map, kWriteInside)) {
    map.values_at = l.values;
    map.values_size = l.size - l.values;
  }
  map.seed = map.flags & BPF_F_ZERO_SEED ? 0 : static_cast<u32>(reinterpret_cast<u64>(&map) >> 12);
  if (is_lru(map)) {
    lru_init(static_cast<LruMap&>(map), l.count);
  } else {
    map.pool.capacity = static_cast<u32>(l.count);
  }
}

namespace {

// A thread that runs programs by itself may have found an element and be about to change its values, which nobody else
// may have then. It is done in a moment, unless its CPU is taken from it just then. While it asks for something it changes none.
void await_finders(const Run* run, const HashMap& map) {
  constexpr u32 kPatience = 2000;
  for (u32 id = 0; map.seats && id < map.cpus; ++id) {
    const CpuSeat& seat = map.seats[id];
    if (run && run->cpu && id == run->cpu->id) continue;
    const u32 taken = __atomic_load_n(&seat.taken, __ATOMIC_SEQ_CST);
    for (u32 tries = 0; tries < kPatience; ++tries) {
      if (__atomic_load_n(&seat.holder, __ATOMIC_SEQ_CST) == 0 || __atomic_load_n(&seat.asks, __ATOMIC_SEQ_CST)) break;
      if (__atomic_load_n(&seat.taken, __ATOMIC_SEQ_CST) != taken) break;
      __builtin_ia32_pause();
    }
  }
}

}  // namespace

// The kernel counts elements that are not allocated beforehand (kernel: inc_elem_count, dec_elem_count).
static void show_count(HashMap& map) {
  if (map.shown_count) *map.shown_count = map.count;
}

HashElement* hash_take(Run* run, HashMap& map) {
  HeldLock lock(run, map.pool_lock);
  if (map.count >= map.max_entries) return nullptr;
  if ((map.flags & BPF_F_NO_PREALLOC) && exhausted(run)) return nullptr;
  HashElement* e = map.pop_free(map.pool);
  if (e) ++map.count, show_count(map);
  return e;
}

// Each CPU keeps the element that it replaced last for the next time (kernel: htab->extra_elems).
HashElement* hash_take_spare(Run* run, HashMap& map) {
  if (run && run->cpu) {
    HashLink& spare = map.spare[run->cpu->id];
    if (spare) return map.element(__atomic_exchange_n(&spare, 0, __ATOMIC_RELAXED));
  }
  HeldLock lock(run, map.pool_lock);
  return map.pop_free(map.pool);
}

void hash_keep_spare(Run* run, HashMap& map, HashElement* e) {
  await_finders(run, map);
  free_fields(map, map.value(e));
  if (run && run->cpu && !map.spare[run->cpu->id]) {
    map.spare[run->cpu->id] = map.link_of(e);
    return;
  }
  HeldLock lock(run, map.pool_lock);
  map.push_free(map.pool.free, e);
}

HashElement* hash_take_lru(Run* run, HashMap& map, u32 hash) {
  return lru_take(run, static_cast<LruMap&>(map), hash);
}

void hash_give_back(Run* run, HashMap& map, HashElement* e) {
  await_finders(run, map);
  free_fields(map, map.value(e));
  if (is_lru(map)) return lru_give_back(run, static_cast<LruMap&>(map), *static_cast<LruElement*>(e));
  HeldLock lock(run, map.pool_lock);
  --map.count;
  show_count(map);
  map.push_free(map.pool.free, e);
}

void hash_insert(HashMap& map, HashBucket& bucket, u32 hash, HashElement* e) {
  e->hash = hash;
  HashLink first = bucket.first;
  e->next = HashMap::is_end(first) ? (hash & map.bucket_mask) << 1 : first;
  if (map.seats) hash_let_go(map, e, Standing::kThere);
  __atomic_store_n(&bucket.first, map.link_of(e), __ATOMIC_RELEASE);
}

bool hash_unlink(HashMap& map, HashBucket& bucket, HashElement* e) {
  HashLink* at = &bucket.first;
  while (!HashMap::is_end(*at)) {
    HashElement* here = map.element(*at);
    if (here == e) {
      __atomic_store_n(at, e->next, __ATOMIC_RELEASE);
      if (map.seats) __atomic_store_n(map.word_of(e), ElementWord::at(map.word_of(e)).left().word(), __ATOMIC_RELEASE);
      return true;
    }
    at = &here->next;
  }
  return false;
}

namespace {

// The word of an element that is not there, once nobody else is at it; false: it is there now. Who does not come to an end
// for long is hostile.
bool take_in_hand(HashMap& map, const HashElement* e) {
  constexpr u32 kPatience = 1 << 18;
  u64* const place = map.word_of(e);
  for (u32 tries = 0;; ++tries) {
    const ElementWord word = ElementWord::at(place);
    if (word.standing() == Standing::kThere) return false;
    const bool waits = word.standing() == Standing::kBusy && !word.is_abandoned(map.seats, map.cpus) && tries < kPatience;
    if (!waits && word.change(place, word.busy(ElementWord::kSupervisor, 0))) return true;
    __builtin_ia32_pause();
  }
}

// It is out, if it was there until now.
bool take_away(HashMap& map, HashBucket& bucket, HashElement* e) {
  if (map.seats) {
    const ElementWord word = ElementWord::at(map.word_of(e));
    if (word.standing() != Standing::kThere || !word.change(map.word_of(e), word.as(Standing::kOut))) return false;
  }
  hash_unlink(map, bucket, e);
  return true;
}

s64 erase(Run* run, HashMap& map, const void* key) {
  u32 hash = jhash(key, map.key_size, map.seed);
  HashBucket& bucket = map.bucket(hash);
  HashElement* e;
  if (holds_lock(run, bucket.lock)) return -EBUSY;
  {
    HeldLock lock(run, bucket.lock);
    const Linked linked = hash_find_locked(run, map, bucket, key, hash);
    e = linked.e;
    if (e && !linked.there) hash_let_go(map, e, Standing::kAway);
    if (!e || !linked.there || !take_away(map, bucket, e)) return -ENOENT;
  }
  hash_give_back(run, map, e);
  return 0;
}

// One element of the bucket that is away, taken out of it.
HashElement* take_one_away(Run* run, HashMap& map, HashBucket& bucket) {
  HeldLock lock(run, bucket.lock);
  for (HashLink link = bucket.first; !HashMap::is_end(link); link = map.element(link)->next) {
    HashElement* const e = map.element(link);
    if (map.is_there(e) || !take_in_hand(map, e)) continue;
    hash_unlink(map, bucket, e);
    return e;
  }
  return nullptr;
}

}  // namespace

Linked hash_find_locked(Run* run, HashMap& map, HashBucket& bucket, const void* key, u32 hash) {
  RuntimePassing passing(map.id ? run : nullptr, RuntimeFunction::lookup_elem_raw,
                         reinterpret_cast<u64>(&bucket), hash, reinterpret_cast<u64>(key), map.key_size);
  HashElement* const e = hash_find_linked(map, key, hash);
  const bool there = e && (map.is_there(e) || !take_in_hand(map, e));
  passing.leave(there ? e : nullptr);
  return {e, there};
}

bool hash_sweep(Run* run, HashMap& map) {
  if (!map.seats || __atomic_exchange_n(&map.element_states().deleted, 0, __ATOMIC_ACQ_REL) == 0) return false;
  bool any = false;
  for (u64 index = 0; index <= map.bucket_mask; ++index) {
    HashBucket& bucket = map.bucket(static_cast<u32>(index));
    if (HashMap::is_end(bucket.first) || holds_lock(run, bucket.lock)) continue;
    while (HashElement* const e = take_one_away(run, map, bucket)) {
      hash_give_back(run, map, e);
      any = true;
    }
  }
  return any;
}

s64 hash_erase(Run* run, Map& map, const void* key) {
  RuntimePassing passing = pass(run, map,
                         is_lru(map) ? RuntimeFunction::htab_lru_map_delete_elem : RuntimeFunction::htab_map_delete_elem,
                         key);
  return passing.leave(erase(run, static_cast<HashMap&>(map), key));
}

s64 hash_lookup_and_delete(Run* run, Map& map, const void* key, void* value) {
  s64 error = map_ops(map.type)->copy_value(run, map, key, value);
  return error ? error : hash_erase(run, map, key);
}

}  // namespace bpfemu
