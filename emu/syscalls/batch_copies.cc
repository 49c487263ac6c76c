// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/batch_copies.h"

#include <algorithm>
#include <utility>

#include "emu/base/room.h"

namespace bpfemu {

namespace {

constexpr u64 kAtOnce = 65536;  // bytes

}  // namespace

Result<const void*> BatchInput::at(u64 index) {
  if (index - first_ >= there_) {
    const u64 many = std::clamp<u64>(kAtOnce / size_, 1, count_ - index);
    TRY(room_for(many * size_));
    bytes_.resize(many * size_);
    first_ = index;
    there_ = many;
    if (!task_.read(address_ + index * size_, bytes_.data(), bytes_.size())) {
      there_ = 0;
      TRY(task_.read(address_ + index * size_, bytes_.data(), size_));
      there_ = 1;
    }
  }
  return &bytes_[(index - first_) * size_];
}

Result<void> BatchOutput::add(std::span<const u8> keys, std::span<const u8> values) {
  keys_.insert(keys_.end(), keys.begin(), keys.end());
  values_.insert(values_.end(), values.begin(), values.end());
  groups_.push_back(keys.size() / key_size_);
  return keys_.size() + values_.size() < kAtOnce ? Result<void>() : flush();
}

Result<void> BatchOutput::put_keys(u64 first, std::span<const u8> keys) {
  return call_.copy_out(call_.attr.batch.keys + first * key_size_, keys.data(), keys.size());
}

Result<void> BatchOutput::put_values(u64 first, std::span<const u8> values) {
  return call_.copy_out(call_.attr.batch.values + first * value_size_, values.data(), values.size());
}

// False: some cannot be put there, and keys, which come first, are as they were.
bool BatchOutput::put_all(u64 first, std::span<const u8> keys, std::span<const u8> values) {
  std::vector<u8> before(keys.size());
  if (!call_.task.read(call_.attr.batch.keys + first * key_size_, before.data(), before.size())) return false;
  if (!put_keys(first, keys)) return false;
  return put_values(first, values) || (put_keys(first, before), false);
}

Result<void> BatchOutput::flush() {
  const std::vector<u8> keys = std::exchange(keys_, {}), values = std::exchange(values_, {});
  const std::vector<u64> groups = std::exchange(groups_, {});
  const u64 begin = written_;
  written_ += keys.size() / key_size_;
  if (keys.empty() || put_all(begin, keys, values)) return {};
  u64 done = 0;
  for (const u64 count : groups) {
    const auto of = [&](const std::vector<u8>& bytes, u64 size) {
      return std::span(bytes).subspan(done * size, count * size);
    };
    TRY(put_keys(begin + done, of(keys, key_size_)));
    TRY(put_values(begin + done, of(values, value_size_)));
    done += count;
  }
  return {};
}

}  // namespace bpfemu
