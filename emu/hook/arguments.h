// SPDX-License-Identifier: Apache-2.0
// What a hook is passed with: a function's arguments, or a tracepoint's as raw programs get them.
#pragma once

#include <array>

#include "emu/base/types.h"

namespace bpfemu {

class Arguments {
 public:
  static constexpr u32 kMost = 12;  // kernel: MAX_BPF_FUNC_ARGS
  using Mask = u32;                 // bit n: the n-th

  Arguments() = default;
  explicit Arguments(Mask looked_at) : looked_at_(looked_at) {}

  u64& operator[](u32 n) { return values_[n]; }
  u64 operator[](u32 n) const { return values_[n]; }
  const std::array<u64, kMost>& values() const { return values_; }
  // For what costs something to find out: the value is asked for only when a program looks at it.
  template <class Value>
  void lazily(u32 n, Value&& value) {
    if (looked_at_ >> n & 1) values_[n] = value();
  }

 private:
  std::array<u64, kMost> values_{};
  Mask looked_at_ = ~Mask{0};
};

}  // namespace bpfemu
