// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace bpfemu::fuzz {

namespace {

constexpr u64 kGuard = 4096;
constexpr u64 kStride = Memory::kSlotSize + kGuard;

}  // namespace

Memory::Memory() {
  void* area = mmap(nullptr, kStride * kSlots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) std::abort();
  base_ = reinterpret_cast<u64>(area);
  for (u32 i = 0; i < kSlots; ++i) mprotect(static_cast<u8*>(area) + i * kStride + kSlotSize, kGuard, PROT_NONE);
}

Memory::~Memory() {
  munmap(reinterpret_cast<void*>(base_), kStride * kSlots);
}

void Memory::reset() {
  buffers_.clear();
}

u64 Memory::buffer(u64 size, u64 limit) {
  size = std::min(size, kSlotSize);
  u64 address = base_ + (buffers_.size() % kSlots) * kStride + kSlotSize - size;
  buffers_.push_back({address, size, std::min(limit, size)});
  return address;
}

u64 Memory::copy(const void* from, u64 size) {
  size = std::min(size, kSlotSize);
  u64 address = buffer(size);
  if (size) std::memcpy(reinterpret_cast<void*>(address), from, size);
  return address;
}

bool Memory::holds(u64 address, u64 size) const {
  if (address < base_ || address - base_ >= kStride * kSlots) return false;
  u64 at = (address - base_) % kStride;
  return at <= kSlotSize && size <= kSlotSize - at;
}

bool Memory::may_write(u64 address, u64 size) const {
  for (const Buffer& b : buffers_) {
    if (address >= b.address && address < b.address + b.size) return address - b.address + size <= b.limit;
  }
  return true;
}

}  // namespace bpfemu::fuzz
