// SPDX-License-Identifier: Apache-2.0
// Random numbers that are the same on every machine, and the odd values that find mistakes.
#pragma once

#include <iterator>

#include "emu/base/types.h"

namespace bpfemu::fuzz {

class Random {
 public:
  explicit Random(u64 seed) : state_(seed) { state_ = next(); }

  // splitmix64.
  u64 next() {
    u64 z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  u64 below(u64 limit) { return next() % limit; }
  bool one_in(u64 n) { return below(n) == 0; }
  template <class T, size_t n>
  T pick(const T (&choices)[n]) {
    return choices[below(n)];
  }

  // Mostly small, sometimes at an edge, sometimes anything.
  u64 odd() {
    static constexpr u64 edges[] = {0,          1,          2,          3,           4,          7,
                                    8,          63,         64,         255,         256,        4095,
                                    4096,       4097,       65535,      65536,       1 << 20,    0x7fffffff,
                                    0x80000000, 0xfffffff8, 0xffffffff, 0x100000000, 1ull << 63, ~u64{0} - 4095,
                                    ~u64{0}};
    switch (below(4)) {
      case 0: return pick(edges);
      case 1: return next() >> below(64);
      default: return below(17);
    }
  }

 private:
  u64 state_;
};

}  // namespace bpfemu::fuzz
