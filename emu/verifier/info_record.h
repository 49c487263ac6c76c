// SPDX-License-Identifier: Apache-2.0
// Records of func_info, line_info and core_relos, as the tool wrote them (kernel: bpf_check_uarg_tail_zero and around
// it).
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "emu/base/result.h"

namespace bpfemu {

inline constexpr u32 kMaxInfoRecord = 252;

inline bool is_record_size(u32 size, u32 least) {
  return size >= least && size <= kMaxInfoRecord && size % sizeof(u32) == 0;
}

// The i-th record of `size` bytes as a T: E2BIG when it says more than a T can hold, EFAULT when it is not there.
template <class T>
Result<T> record_at(std::span<const u8> raw, u32 size, u32 i) {
  T record{};
  const size_t at = size_t{i} * size;
  if (at + size > raw.size()) return fail(EFAULT);
  const auto bytes = raw.subspan(at, size);
  std::memcpy(&record, bytes.data(), std::min<size_t>(sizeof record, size));
  if (size > sizeof record) {
    const auto tail = bytes.subspan(sizeof record);
    if (std::any_of(tail.begin(), tail.end(), [](u8 byte) { return byte != 0; })) return fail(E2BIG);
  }
  return record;
}

}  // namespace bpfemu
