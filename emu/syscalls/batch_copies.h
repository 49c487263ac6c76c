// SPDX-License-Identifier: Apache-2.0
// The arrays of a batch in the caller's memory, of which many elements are copied at once. Where that fails they are
// copied one by one, so that as much is read and written as a kernel does, which copies them so.
#pragma once

#include <span>
#include <vector>

#include "emu/syscalls/bpf.h"

namespace bpfemu {

class BatchInput {
 public:
  BatchInput(Task& task, u64 address, u64 size, u32 count)
      : task_(task), address_(address), size_(size), count_(count) {}
  // The element, until another one is asked for. EFAULT.
  Result<const void*> at(u64 index);

 private:
  Task& task_;
  u64 address_, size_;
  u32 count_;
  u64 first_ = 0, there_ = 0;  // which elements are here
  std::vector<u8> bytes_;
};

class BatchOutput {
 public:
  BatchOutput(BpfCall& call, u64 key_size, u64 value_size)
      : call_(call), key_size_(key_size), value_size_(value_size) {}
  // Behind those before them. EFAULT, also of what was added before.
  Result<void> add(std::span<const u8> keys, std::span<const u8> values);
  Result<void> flush();

 private:
  bool put_all(u64 first, std::span<const u8> keys, std::span<const u8> values);
  Result<void> put_keys(u64 first, std::span<const u8> keys);
  Result<void> put_values(u64 first, std::span<const u8> values);

  BpfCall& call_;
  u64 key_size_, value_size_;
  u64 written_ = 0;  // elements
  std::vector<u8> keys_, values_;
  std::vector<u64> groups_;  // how many elements were added at once
};

}  // namespace bpfemu
