// SPDX-License-Identifier: Apache-2.0
// A hash table from names to the numbers 0..n-1 that have them, for tables of a hundred thousand entries that are built
// at the first question: two flat arrays, no allocation an entry.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "emu/base/bytes.h"
#include "emu/base/types.h"

namespace bpfemu {

class NameIndex {
 public:
  bool empty() const { return buckets_.empty(); }

  // `name_of(i)` gives the i-th name; an empty one is left out.
  template <class NameOf>
  void build(size_t count, NameOf name_of) {
    buckets_.assign(round_up_power_of_two(count + 1), kNone);
    next_.assign(count, kNone);
    for (size_t i = count; i-- > 0;) {
      std::string_view name = name_of(i);
      if (!name.empty()) next_[i] = std::exchange(bucket_of(name), static_cast<u32>(i));
    }
  }
  // Calls `visit(i)` for each number in ascending order whose name may be `name`, until it says true.
  template <class Visit>
  bool any_of(std::string_view name, Visit visit) const {
    for (u32 i = buckets_[hash(name) & (buckets_.size() - 1)]; i != kNone; i = next_[i]) {
      if (visit(i)) return true;
    }
    return false;
  }

 private:
  static constexpr u32 kNone = ~u32{0};
  static u32 hash(std::string_view text) {  // FNV-1a
    u32 hash = 0x811c9dc5;
    for (unsigned char c : text) hash = (hash ^ c) * 0x01000193;
    return hash;
  }
  u32& bucket_of(std::string_view name) { return buckets_[hash(name) & (buckets_.size() - 1)]; }

  std::vector<u32> buckets_, next_;
};

}  // namespace bpfemu
