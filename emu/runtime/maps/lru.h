// SPDX-License-Identifier: Apache-2.0
// Which element of an LRU map makes room for another (kernel: bpf_lru_list.c). Elements that were just put in are a CPU's
// own, `pending`, until it needs more of them; then they become inactive, or active if programs looked them up. Those in
// need of elements go through both queues, a batch at a time. With BPF_F_NO_COMMON_LRU each CPU has both queues of its own,
// and nothing is pending. Runtime code.
#pragma once

#include "emu/runtime/maps/hash_table.h"

namespace bpfemu {

enum class LruPlace : u8 { kFree, kPending, kInactive, kActive };

struct LruElement : HashElement {
  HashLink newer, older;  // in its queue; 0 at the ends
  LruPlace place;
  u8 referenced;  // a program looked it up, or its value was replaced, since it was last moved
  u16 cpu;        // that it is pending on; with lists per CPU, that it belongs to
};

struct LruQueue {
  HashLink newest, oldest;
  u32 count;
};

struct LruLists {
  ArenaLock lock;
  ElementPool pool;
  LruQueue active, inactive;
  HashLink rotation;  // the inactive element at which the next look for used ones begins; 0: the oldest
};

struct LruLocal {
  ArenaLock lock;
  HashLink free;
  LruQueue pending;
  u32 next_steal;  // the CPU that is asked first when nothing else is left
};

struct LruMap : HashMap {
  u32 batch;                 // how many elements are looked at, or freed, at once
  LruLists lists[kMaxCpus];  // without BPF_F_NO_COMMON_LRU, the first alone
  LruLocal locals[kMaxCpus];
};

void lru_init(LruMap& map, u64 count);
// An element for a new key, null when other CPUs hold all of them in the midst of updates. Takes buckets' locks: hold none.
LruElement* lru_take(Run* run, LruMap& map, u32 hash);
// Gives back one that is in no bucket.
void lru_give_back(Run* run, LruMap& map, LruElement& e);

}  // namespace bpfemu
