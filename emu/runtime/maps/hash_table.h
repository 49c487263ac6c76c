// SPDX-License-Identifier: Apache-2.0
// The hash table under the hash family of maps: chained buckets, elements in one sparse array and their values in another,
// lookups without locks.
// A chain ends in its bucket's number, so that a reader whose element was freed and reused under it notices that it
// strayed into another chain and starts again (kernel: hlist_nulls). Runtime code.
#pragma once

#include "emu/arena/layout.h"
#include "emu/runtime/held_lock.h"
#include "emu/runtime/maps/element_state.h"
#include "emu/runtime/maps/jhash.h"
#include "emu/runtime/maps/map_passing.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

// A link is an element's index * 2 + 1, or the end of bucket b: b * 2. An untouched bucket is 0: empty as well.
using HashLink = u32;

struct HashBucket {
  HashLink first;
  ArenaLock lock;
};

struct HashElement {
  HashLink next;
  u32 hash;  // of a free element: the link of the next free one (`next` stays for readers)
};

// Where elements come from: those never used yet, and those freed.
struct ElementPool {
  u32 base, capacity;  // range of the element array
  u32 fresh;           // how many of it were ever used
  HashLink free;
};

struct HashMap : Map {
  u64 elements;  // offsets from the head
  u64 values;
  u64 states;  // ElementStates, if Map::values_at is there
  u64 buckets;
  u32 bucket_mask;
  u32 stride;            // of an element
  u32 stride_shift;      // stride = odd << shift: multiples of it are divided by shifting and by multiplying with the
  u64 stride_inverse;    // inverse of the odd part modulo 2^64
  u64 value_bytes;       // of an element
  u64 value_scale;       // stride_inverse * value_bytes
  u32 key_at;            // within an element
  u32 seed;
  // Of maps that are no LRU maps.
  ArenaLock pool_lock;
  ElementPool pool;
  u32 count;                 // elements in use
  HashLink spare[kMaxCpus];  // what the last update on a CPU replaced

  u8* at(u64 offset) { return reinterpret_cast<u8*>(this) + offset; }
  HashBucket& bucket(u32 hash) { return reinterpret_cast<HashBucket*>(at(buckets))[hash & bucket_mask]; }
  HashElement* element(HashLink link) { return reinterpret_cast<HashElement*>(at(elements) + u64{link >> 1} * stride); }
  HashLink link_of(const HashElement* e) {
    return static_cast<HashLink>(odd_steps(e) * stride_inverse << 1 | 1);
  }
  u8* key(HashElement* e) { return reinterpret_cast<u8*>(e) + key_at; }
  u8* value(const HashElement* e) { return at(values) + odd_steps(e) * value_scale; }
  HashElement* with_value(u64 value) {
    const u64 index = (value - reinterpret_cast<u64>(at(values))) / value_bytes;
    return element(static_cast<HashLink>(index << 1 | 1));
  }
  static bool is_end(HashLink link) { return !(link & 1); }

  // Of a map whose values nobody else writes to, all that are linked are there.
  ElementStates& element_states() { return *reinterpret_cast<ElementStates*>(at(states)); }
  u64* word_of(const HashElement* e) { return &element_states().words[link_of(e) >> 1]; }
  bool is_there(const HashElement* e) { return !seats || ElementWord::at(word_of(e)).standing() == Standing::kThere; }

  // An element's index times the odd part of the stride.
  u64 odd_steps(const HashElement* e) {
    return static_cast<u64>(reinterpret_cast<const u8*>(e) - at(elements)) >> stride_shift;
  }

  // Free elements: null when there are none. Whoever calls these holds the lock of what they are in.
  HashElement* pop_free(HashLink& free) {
    if (!free) return nullptr;
    HashElement* e = element(free);
    free = e->hash;
    return e;
  }
  HashElement* pop_free(ElementPool& from) {
    if (HashElement* e = pop_free(from.free)) return e;
    if (from.fresh == from.capacity) return nullptr;
    return element((from.base + from.fresh++) << 1 | 1);
  }
  void push_free(HashLink& free, HashElement* e) {
    e->hash = free;
    free = link_of(e);
  }
};

inline bool same_key(const void* a, const void* b, u32 size) {
  const u8 *p = static_cast<const u8*>(a), *q = static_cast<const u8*>(b);
  for (; size >= 8; size -= 8, p += 8, q += 8) {
    if (load<u64>(p) != load<u64>(q)) return false;
  }
  if (size & 4) {
    if (load<u32>(p) != load<u32>(q)) return false;
    p += 4, q += 4;
  }
  if (size & 2) {
    if (load<u16>(p) != load<u16>(q)) return false;
    p += 2, q += 2;
  }
  return !(size & 1) || *p == *q;
}

// The element with this key to which its bucket leads, null when there is none, or `give_up()` says so before a step. Takes
// no lock.
template <class GiveUp>
inline HashElement* hash_find_linked(HashMap& map, const void* key, u32 hash, GiveUp give_up) {
  HashBucket& bucket = map.bucket(hash);
  for (;;) {
    HashLink link = __atomic_load_n(&bucket.first, __ATOMIC_ACQUIRE);
    if (HashMap::is_end(link)) return nullptr;
    while (!HashMap::is_end(link)) {
      if (give_up()) return nullptr;
      HashElement* e = map.element(link);
      if (e->hash == hash && same_key(map.key(e), key, map.key_size)) return e;
      link = __atomic_load_n(&e->next, __ATOMIC_ACQUIRE);
    }
    if (link >> 1 == (hash & map.bucket_mask)) return nullptr;
  }
}
inline HashElement* hash_find_linked(HashMap& map, const void* key, u32 hash) {
  return hash_find_linked(map, key, hash, [] { return false; });
}
// The same of those that are there.
template <class GiveUp>
inline HashElement* hash_find(HashMap& map, const void* key, u32 hash, GiveUp give_up) {
  HashElement* const e = hash_find_linked(map, key, hash, give_up);
  return e && map.is_there(e) ? e : nullptr;
}
inline HashElement* hash_find(HashMap& map, const void* key, u32 hash) {
  return hash_find(map, key, hash, [] { return false; });
}
inline HashElement* hash_find(HashMap& map, const void* key) {
  return hash_find(map, key, jhash(key, map.key_size, map.seed));
}

// What a bucket, which is locked, leads to for a key. What is not there is in the hands of whoever looked for it to change
// it: hash_let_go().
struct Linked {
  HashElement* e;  // null: nothing
  bool there;
};
Linked hash_find_locked(Run* run, HashMap& map, HashBucket& bucket, const void* key, u32 hash);
inline void hash_let_go(HashMap& map, HashElement* e, Standing standing) {
  u64* const word = map.word_of(e);
  __atomic_store_n(word, ElementWord::at(word).as(standing).word(), __ATOMIC_RELEASE);
}

// Shared operations (MapOps). `value_bytes` is what an element's values take.
s64 hash_alloc_check(const MapAttr& attr, bool per_cpu);
u64 hash_footprint(const MapAttr& attr, u64 value_bytes);
u64 hash_committed(const MapAttr& attr, u64 value_bytes);  // without BPF_F_NO_PREALLOC, the elements too
void hash_init(Map& map, u64 value_bytes);
s64 hash_erase(Run* run, Map& map, const void* key);
s64 hash_get_next_key(Map& map, const void* key, void* next);
u32 hash_bucket_count(Map& map);
u32 hash_copy_bucket(Run* run, Map& map, u32 bucket, void* keys, void* values, u32 room);
s64 hash_lookup_and_delete(Run* run, Map& map, const void* key, void* value);
bool hash_at_place(Map& map, MapPlace& place);
bool hash_next_place(Map& map, MapPlace& place);
s64 hash_for_each(Run* run, Map& map, MapCallback callback, u64 context, u64 flags);

// Puts a new element in place of the one with the same key, if there is one (kernel: htab_map_update_elem,
// htab_lru_map_update_elem). `fill(element's value)` writes the value. The plain maps' way: programs that hold the old
// value's address keep the old value.
template <class Fill>
s64 hash_replace(Run* run, HashMap& map, const void* key, u64 flags, Fill fill);
// Changes the values of the element with this key in place, or puts in a new one (kernel:
// __htab_percpu_map_update_elem). `fill(value, is_new)`.
template <class Fill>
s64 hash_modify(Run* run, HashMap& map, const void* key, u64 flags, Fill fill);

// The parts of an update; the caller holds the bucket's lock.
HashElement* hash_take(Run* run, HashMap& map);                // null: full
HashElement* hash_take_spare(Run* run, HashMap& map);          // to replace another element
HashElement* hash_take_lru(Run* run, HashMap& map, u32 hash);  // takes other buckets' locks: hold none
void hash_give_back(Run* run, HashMap& map, HashElement* e);
void hash_keep_spare(Run* run, HashMap& map, HashElement* e);
void hash_insert(HashMap& map, HashBucket& bucket, u32 hash, HashElement* e);
bool hash_unlink(HashMap& map, HashBucket& bucket, HashElement* e);  // false: it was not linked
bool hash_sweep(Run* run, HashMap& map);  // frees elements that are away; takes buckets' locks: hold none. False: none
void lru_mark_used(HashElement* e);
inline void hash_mark_used(HashMap& map, HashElement* e) {
  if (is_lru(map)) lru_mark_used(e);
}

// Elements that are away make room for others.
template <class Update>
s64 hash_with_room(Run* run, HashMap& map, Update update) {
  s64 error = update();
  if (error == -E2BIG && hash_sweep(run, map)) error = update();
  return error;
}

// Puts an element back that was away.
template <class Fill>
s64 hash_put_back(HashMap& map, HashElement* e, u64 flags, Fill fill) {
  const s64 error = check_update(false, flags);
  if (!error) fill(map.value(e));
  hash_let_go(map, e, error ? Standing::kAway : Standing::kThere);
  return error;
}

template <class Fill>
s64 hash_try_replace(Run* run, HashMap& map, const void* key, u64 flags, Fill fill) {
  u32 hash = jhash(key, map.key_size, map.seed);
  HashBucket& bucket = map.bucket(hash);
  HashElement *fresh = nullptr, *old;
  if (holds_lock(run, bucket.lock)) return -EBUSY;
  if (is_lru(map) && !(fresh = hash_take_lru(run, map, hash))) return -ENOMEM;
  s64 error;
  {
    HeldLock lock(run, bucket.lock);
    const Linked linked = hash_find_locked(run, map, bucket, key, hash);
    if (linked.e && !linked.there) return hash_put_back(map, linked.e, flags, fill);
    old = linked.e;
    error = check_update(old, flags);
    if (!error && !fresh) {
      fresh = old ? hash_take_spare(run, map) : hash_take(run, map);
      if (!fresh) error = -E2BIG;
    }
    if (!error) {
      __builtin_memcpy(map.key(fresh), key, map.key_size);
      fill(map.value(fresh));
      hash_insert(map, bucket, hash, fresh);
      if (old) {
        hash_unlink(map, bucket, old);
        hash_mark_used(map, fresh);
      }
    }
  }
  if (HashElement* unused = error ? fresh : old) {
    is_lru(map) ? hash_give_back(run, map, unused) : hash_keep_spare(run, map, unused);
  }
  return error;
}

template <class Fill>
s64 hash_replace(Run* run, HashMap& map, const void* key, u64 flags, Fill fill) {
  return hash_with_room(run, map, [&] { return hash_try_replace(run, map, key, flags, fill); });
}

template <class Fill>
s64 hash_try_modify(Run* run, HashMap& map, const void* key, u64 flags, Fill fill) {
  u32 hash = jhash(key, map.key_size, map.seed);
  HashBucket& bucket = map.bucket(hash);
  // With BPF_EXIST an LRU map needs no element of its own, and evicts none.
  HashElement* fresh = nullptr;
  if (holds_lock(run, bucket.lock)) return -EBUSY;
  if (is_lru(map) && flags != BPF_EXIST && !(fresh = hash_take_lru(run, map, hash))) return -ENOMEM;
  s64 error;
  {
    HeldLock lock(run, bucket.lock);
    const Linked linked = hash_find_locked(run, map, bucket, key, hash);
    if (linked.e && !linked.there)
      return hash_put_back(map, linked.e, flags, [&](u8* value) { fill(value, true); });
    HashElement* const old = linked.e;
    error = check_update(old, flags);
    if (!error && old) {
      hash_mark_used(map, old);
      fill(map.value(old), false);
    } else if (!error) {
      HashElement* e = fresh ? fresh : hash_take(run, map);
      if (e) {
        __builtin_memcpy(map.key(e), key, map.key_size);
        fill(map.value(e), true);
        hash_insert(map, bucket, hash, e);
        fresh = nullptr;
      } else {
        error = -E2BIG;
      }
    }
  }
  if (fresh) hash_give_back(run, map, fresh);
  return error;
}

template <class Fill>
s64 hash_modify(Run* run, HashMap& map, const void* key, u64 flags, Fill fill) {
  return hash_with_room(run, map, [&] { return hash_try_modify(run, map, key, flags, fill); });
}

}  // namespace bpfemu
