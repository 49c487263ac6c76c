// SPDX-License-Identifier: Apache-2.0
// How a thread that runs programs by itself changes a hash map, in its values and their words alone. Runtime code.
#pragma once

#include "emu/runtime/maps/hash_table.h"

namespace bpfemu {

// Of an element that its bucket leads to. Results are those of the helpers; false: the supervisor is to do it, which
// makes elements and takes them out.
class ElementChange {
 public:
  // `cpu`: whose seat the thread has. A count that programs see is the supervisor's.
  ElementChange(HashMap& map, const void* key, u32 cpu)
      : map_(map),
        cpu_(cpu),
        e_(map.shown_count ? nullptr : hash_find_linked(map, key, jhash(key, map.key_size, map.seed))) {}

  bool update(const void* value, u64 flags, s64& result) {
    if (!e_ || flags > BPF_EXIST) return false;
    switch (word().standing()) {
      case Standing::kThere: return flags == BPF_NOEXIST ? end(-EEXIST, result) : overwrite(value, result);
      case Standing::kAway:
      case Standing::kBusy: return flags == BPF_EXIST ? end(-ENOENT, result) : put_back(value, result);
      case Standing::kOut: return false;
    }
    return false;
  }

  bool erase(s64& result) {
    if (!e_) return false;
    const ElementWord now = word();
    if (now.standing() != Standing::kThere) return end(-ENOENT, result);
    if (!now.change(place(), now.as(Standing::kAway))) return false;
    __atomic_add_fetch(&map_.element_states().deleted, 1, __ATOMIC_RELAXED);
    return end(0, result);
  }

 private:
  static bool end(s64 value, s64& result) { return result = value, true; }
  u64* place() { return map_.word_of(e_); }
  ElementWord word() { return ElementWord::at(place()); }
  bool per_cpu() const { return map_.type == BPF_MAP_TYPE_PERCPU_HASH; }
  u8* own_value() { return map_.value(e_) + (per_cpu() ? cpu_ * value_stride(map_) : 0); }

  // Nobody may see a half of a value, but of one that only this CPU sees.
  bool overwrite(const void* value, s64& result) {
    u64 whole = 0;
    if (per_cpu()) {
      __builtin_memcpy(own_value(), value, map_.value_size);
    } else if (map_.value_size <= sizeof whole) {
      __builtin_memcpy(&whole, value, map_.value_size);
      __atomic_store_n(reinterpret_cast<u64*>(map_.value(e_)), whole, __ATOMIC_RELEASE);
    } else {
      return false;
    }
    return end(0, result);
  }

  // False: somebody else is at it, or has taken it from us while we were long in coming.
  bool put_back(const void* value, s64& result) {
    const ElementWord before = word();
    const Standing standing = before.standing();
    const bool abandoned = standing == Standing::kBusy && before.is_abandoned(map_.seats, map_.cpus);
    if (standing != Standing::kAway && !abandoned) return false;
    const ElementWord mine = before.busy(cpu_, map_.seats[cpu_].taken);
    if (!before.change(place(), mine)) return false;
    if (per_cpu()) __builtin_memset(map_.value(e_), 0, map_.cpus * value_stride(map_));
    __builtin_memcpy(own_value(), value, map_.value_size);
    return mine.change(place(), mine.as(Standing::kThere)) && end(0, result);
  }

  HashMap& map_;
  u32 cpu_;
  HashElement* e_;
};

}  // namespace bpfemu
