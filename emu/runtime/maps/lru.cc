// SPDX-License-Identifier: Apache-2.0
// Locks are taken in this order: a CPU's own, a list's, a bucket's.
#include "emu/runtime/maps/lru.h"

namespace bpfemu {

namespace {

constexpr u32 kCommonBatch = 128, kPerCpuBatch = 4;  // LOCAL_FREE_TARGET, PERCPU_FREE_TARGET

LruElement& at(LruMap& map, HashLink link) {
  return *static_cast<LruElement*>(map.element(link));
}
bool referenced(const LruElement& e) {
  return __atomic_load_n(&e.referenced, __ATOMIC_RELAXED);
}
u32 own_cpu(const LruMap& map, const Run* run) {
  return current_cpu(run) % map.cpus;
}

void add_newest(LruMap& map, LruQueue& queue, LruElement& e) {
  const HashLink link = map.link_of(&e);
  e.newer = 0;
  e.older = queue.newest;
  (queue.newest ? at(map, queue.newest).newer : queue.oldest) = link;
  queue.newest = link;
  ++queue.count;
}

void take_out(LruMap& map, LruQueue& queue, LruElement& e) {
  (e.newer ? at(map, e.newer).older : queue.newest) = e.older;
  (e.older ? at(map, e.older).newer : queue.oldest) = e.newer;
  --queue.count;
}

void enter(LruMap& map, LruLists& lists, LruElement& e, LruPlace place) {
  e.place = place;
  __atomic_store_n(&e.referenced, 0, __ATOMIC_RELAXED);
  add_newest(map, place == LruPlace::kActive ? lists.active : lists.inactive, e);
}

void leave(LruMap& map, LruLists& lists, LruElement& e) {
  if (lists.rotation == map.link_of(&e)) lists.rotation = e.newer;
  take_out(map, e.place == LruPlace::kActive ? lists.active : lists.inactive, e);
}

void move(LruMap& map, LruLists& lists, LruElement& e, LruPlace place) {
  leave(map, lists, e);
  enter(map, lists, e, place);
}

void set_free(LruMap& map, HashLink& free, LruElement& e) {
  e.place = LruPlace::kFree;
  map.push_free(free, &e);
}

// Out of the table; false when it is not in it: someone is about to insert it, or has just erased it (kernel:
// htab_lru_map_delete_node).
bool evict(Run* run, LruMap& map, LruElement& e) {
  HashBucket& bucket = map.bucket(e.hash);
  HeldLock lock(run, bucket.lock);
  if (!hash_unlink(map, bucket, &e)) return false;
  free_fields(map, map.value(&e));
  return true;
}

// The oldest active elements become inactive unless they were used.
void rotate_active(LruMap& map, LruLists& lists) {
  const HashLink last = lists.active.newest;
  HashLink link = lists.active.oldest;
  for (u32 i = 0; link && i < map.batch; ++i) {
    LruElement& e = at(map, link);
    const bool was_last = link == last;
    link = e.newer;
    move(map, lists, e, referenced(e) ? LruPlace::kActive : LruPlace::kInactive);
    if (was_last) return;
  }
}

// Inactive elements that were used become active; the next time it goes on where it ended.
void rotate_inactive(LruMap& map, LruLists& lists) {
  LruQueue& queue = lists.inactive;
  if (!queue.newest) return;
  HashLink last = lists.rotation ? at(map, lists.rotation).older : queue.newest;
  if (!last) last = queue.newest;
  HashLink link = lists.rotation;
  for (u32 i = 0; i < map.batch; ++i) {
    if (!link) link = queue.oldest;
    LruElement& e = at(map, link);
    const bool was_last = link == last;
    link = e.newer;
    if (referenced(e)) move(map, lists, e, LruPlace::kActive);
    if (was_last) break;
  }
  lists.rotation = link;
}

void rotate(LruMap& map, LruLists& lists) {
  if (lists.inactive.count < lists.active.count) rotate_active(map, lists);
  rotate_inactive(map, lists);
}

// Frees up to `wanted` of the oldest inactive elements: how many.
u32 shrink_inactive(Run* run, LruMap& map, LruLists& lists, u32 wanted, HashLink& free) {
  u32 freed = 0;
  HashLink link = lists.inactive.oldest;
  for (u32 i = 0; link && freed < wanted && i < map.batch; ++i) {
    LruElement& e = at(map, link);
    link = e.newer;
    if (referenced(e)) {
      move(map, lists, e, LruPlace::kActive);
    } else if (evict(run, map, e)) {
      leave(map, lists, e);
      set_free(map, free, e);
      ++freed;
    }
  }
  return freed;
}

// Frees elements: when all that it looks at were used, one of these.
void shrink(Run* run, LruMap& map, LruLists& lists, u32 wanted, HashLink& free) {
  if (shrink_inactive(run, map, lists, wanted, free)) return;
  HashLink link = (lists.inactive.oldest ? lists.inactive : lists.active).oldest;
  for (; link; link = at(map, link).newer) {
    LruElement& e = at(map, link);
    if (!evict(run, map, e)) continue;
    leave(map, lists, e);
    set_free(map, free, e);
    return;
  }
}

// Fresh free elements for a CPU that has none; its pending ones go where all CPUs find them (kernel:
// bpf_lru_list_pop_free_to_local).
void refill(Run* run, LruMap& map, LruLocal& local) {
  LruLists& lists = map.lists[0];
  HeldLock lock(run, lists.lock);
  while (HashLink link = local.pending.oldest) {
    LruElement& e = at(map, link);
    take_out(map, local.pending, e);
    enter(map, lists, e, referenced(e) ? LruPlace::kActive : LruPlace::kInactive);
  }
  rotate(map, lists);
  u32 count = 0;
  for (; count < map.batch; ++count) {
    auto* e = static_cast<LruElement*>(map.pop_free(lists.pool));
    if (!e) break;
    set_free(map, local.free, *e);
  }
  if (count < map.batch) shrink(run, map, lists, map.batch - count, local.free);
}

LruElement* pop_local(LruMap& map, LruLocal& local) {
  return static_cast<LruElement*>(map.pop_free(local.free));
}

void add_pending(LruMap& map, LruLocal& local, LruElement& e, u32 hash) {
  e.hash = hash;
  e.cpu = static_cast<u16>(&local - map.locals);
  e.place = LruPlace::kPending;
  __atomic_store_n(&e.referenced, 0, __ATOMIC_RELAXED);
  add_newest(map, local.pending, e);
}

// The oldest pending element, if possible one that was not used.
LruElement* pop_pending(Run* run, LruMap& map, LruLocal& local) {
  for (u32 round = 0; round < 2; ++round) {
    for (HashLink link = local.pending.oldest; link; link = at(map, link).newer) {
      LruElement& e = at(map, link);
      if ((referenced(e) && round == 0) || !evict(run, map, e)) continue;
      take_out(map, local.pending, e);
      return &e;
    }
  }
  return nullptr;
}

// What some CPU has free, or pending.
LruElement* steal(Run* run, LruMap& map, u32& next) {
  LruElement* e = nullptr;
  for (u32 tried = 0; !e && tried < map.cpus; ++tried) {
    LruLocal& local = map.locals[next];
    HeldLock lock(run, local.lock);
    e = pop_local(map, local);
    if (!e) e = pop_pending(run, map, local);
    next = (next + 1) % map.cpus;
  }
  return e;
}

// kernel: bpf_common_lru_pop_free.
LruElement* take_common(Run* run, LruMap& map, u32 hash) {
  LruLocal& local = map.locals[own_cpu(map, run)];
  {
    HeldLock lock(run, local.lock);
    if (!local.free) refill(run, map, local);
    if (LruElement* e = pop_local(map, local)) {
      add_pending(map, local, *e, hash);
      return e;
    }
  }
  LruElement* e = steal(run, map, local.next_steal);
  if (e) {
    HeldLock lock(run, local.lock);
    add_pending(map, local, *e, hash);
  }
  return e;
}

// kernel: bpf_percpu_lru_pop_free.
LruElement* take_own(Run* run, LruMap& map, u32 hash) {
  const u32 cpu = own_cpu(map, run);
  LruLists& lists = map.lists[cpu];
  HeldLock lock(run, lists.lock);
  rotate(map, lists);
  HashElement* e = map.pop_free(lists.pool);
  if (!e) {
    shrink(run, map, lists, map.batch, lists.pool.free);
    e = map.pop_free(lists.pool);
  }
  if (!e) return nullptr;
  auto& taken = *static_cast<LruElement*>(e);
  taken.hash = hash;
  taken.cpu = static_cast<u16>(cpu);
  enter(map, lists, taken, LruPlace::kInactive);
  return &taken;
}

void free_listed(Run* run, LruMap& map, LruLists& lists, LruElement& e) {
  HeldLock lock(run, lists.lock);
  leave(map, lists, e);
  set_free(map, lists.pool.free, e);
}

// Was it pending still?
bool free_pending(Run* run, LruMap& map, LruElement& e) {
  LruLocal& local = map.locals[e.cpu];
  HeldLock lock(run, local.lock);
  if (e.place != LruPlace::kPending) return false;
  take_out(map, local.pending, e);
  set_free(map, local.free, e);
  return true;
}

}  // namespace

void lru_mark_used(HashElement* e) {
  __atomic_store_n(&static_cast<LruElement*>(e)->referenced, 1, __ATOMIC_RELAXED);
}

void lru_init(LruMap& map, u64 count) {
  const bool own = map.flags & BPF_F_NO_COMMON_LRU;
  map.batch = own ? kPerCpuBatch : kCommonBatch;
  const u32 lists = own ? map.cpus : 1, share = static_cast<u32>(count / lists);
  for (u32 i = 0; i < lists; ++i) {
    map.lists[i].pool.base = i * share;
    map.lists[i].pool.capacity = share;
  }
  for (u32 cpu = 0; cpu < map.cpus; ++cpu) map.locals[cpu].next_steal = cpu;
}

LruElement* lru_take(Run* run, LruMap& map, u32 hash) {
  return map.flags & BPF_F_NO_COMMON_LRU ? take_own(run, map, hash) : take_common(run, map, hash);
}

void lru_give_back(Run* run, LruMap& map, LruElement& e) {
  if (map.flags & BPF_F_NO_COMMON_LRU) return free_listed(run, map, map.lists[e.cpu], e);
  if (e.place == LruPlace::kPending && free_pending(run, map, e)) return;
  free_listed(run, map, map.lists[0], e);
}

}  // namespace bpfemu
