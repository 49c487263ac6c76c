// SPDX-License-Identifier: Apache-2.0
// What the generator believes of registers and stack at the place it has reached: rough, and sometimes wrong on
// purpose.
#pragma once

#include <array>
#include <bitset>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu::fuzz {

enum class Kind : u8 { kNone, kScalar, kCtx, kStack, kMapValue, kPacket, kPacketEnd, kMemory, kSocket, kMap, kObject };

struct Value {
  Kind kind = Kind::kNone;
  bool maybe_null = false;
  bool writable = true;
  // Bytes that may be touched from the pointer on; of a stack pointer: from it up to the frame's end.
  int size = 0;
  u64 max = ~u64{0};  // of a scalar
  int map = -1;       // of a map value
  int reference = 0;  // to be given back before the program ends

  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_area() const {
    return !maybe_null && (kind == Kind::kMapValue || kind == Kind::kMemory || (kind == Kind::kPacket && size > 0));
  }
  friend bool operator==(const Value&, const Value&) = default;
};

inline Value scalar(u64 max = ~u64{0}) {
  return {.kind = Kind::kScalar, .max = max};
}

inline constexpr int kStackBytes = 512, kSlots = kStackBytes / 8;

// Offsets are those from the frame pointer, so negative.
struct Stack {
  std::bitset<kStackBytes> written;
  std::array<Value, kSlots> spilled{};
  std::bitset<kSlots> kept;  // slots that hold what must not be overwritten

  static size_t index(int off) { return static_cast<size_t>(-off - 1); }
  static size_t slot(int off) { return index(off) / 8; }
  bool inside(int off, int size) const { return off < 0 && off >= -kStackBytes && off + size <= 0; }
  bool readable(int off, int size) const {
    for (int i = 0; i < size; ++i) {
      if (!inside(off + i, 1) || !written[index(off + i)]) return false;
    }
    return true;
  }
  void write(int off, int size) {
    for (int i = 0; i < size; ++i) {
      if (!inside(off + i, 1)) continue;
      written[index(off + i)] = true;
      spilled[slot(off + i)] = {};
    }
  }
};

struct State {
  std::array<Value, 11> regs{};
  Stack stack;
  std::vector<int> references;
  u32 pinned = 0;  // registers that must not be overwritten

  void forget_packet() {
    auto drop = [](Value& value) {
      if (value.kind == Kind::kPacket || value.kind == Kind::kPacketEnd) value = {};
    };
    for (Value& reg : regs) drop(reg);
    for (Value& slot : stack.spilled) drop(slot);
  }
  void forget_reference(int id) {
    std::erase(references, id);
    auto drop = [&](Value& value) {
      if (value.reference == id) value = {};
    };
    for (Value& reg : regs) drop(reg);
    for (Value& slot : stack.spilled) drop(slot);
  }
  // What holds on both of two paths.
  void meet(const State& other) {
    auto meet_value = [](Value& a, const Value& b) {
      Value x = a, y = b;
      x.size = y.size = 0, x.max = y.max = 0;
      if (!(x == y)) return void(a = {});
      a.size = std::min(a.size, b.size), a.max = std::max(a.max, b.max);
    };
    for (size_t i = 0; i < regs.size(); ++i) meet_value(regs[i], other.regs[i]);
    for (size_t i = 0; i < kSlots; ++i) meet_value(stack.spilled[i], other.stack.spilled[i]);
    stack.written &= other.stack.written;
    stack.kept |= other.stack.kept;
    pinned |= other.pinned;
  }
};

}  // namespace bpfemu::fuzz
