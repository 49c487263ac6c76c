// SPDX-License-Identifier: Apache-2.0
// What the verifier knows at one point of one path: registers, stack slots, references, call frames.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "emu/bpf/map_object.h"
#include "emu/btf/btf.h"
#include "emu/verifier/tnum.h"
#include "emu/verifier/types.h"

namespace bpfemu {

inline constexpr u32 kRegs = 11;      // R0..R10
inline constexpr u32 kFrameReg = 10;  // R10, the frame pointer
inline constexpr u32 kSlotSize = 8;   // bytes of a stack slot
inline constexpr s32 kMaxStack = 512;
inline constexpr u32 kMaxFrames = 8;
inline constexpr s32 kMaxVarOffset = 1 << 29;  // kernel: BPF_MAX_VAR_OFF, BPF_MAX_VAR_SIZ
inline constexpr s32 kMainCallsite = -1;       // of the frame that no instruction called
inline constexpr s32 kNotSubreg = 0;           // Reg::subreg_def: the last definition was 64 bits wide

// Signed and unsigned limits of a value in one width. Both always hold.
template <class S, class U>
struct Range {
  S smin = std::numeric_limits<S>::min();
  S smax = std::numeric_limits<S>::max();
  U umin = 0;
  U umax = std::numeric_limits<U>::max();

  friend bool operator==(const Range&, const Range&) = default;
  static Range constant(U value) { return {static_cast<S>(value), static_cast<S>(value), value, value}; }
  // Does every value of `other` lie in here?
  bool contains(const Range& other) const {
    return umin <= other.umin && umax >= other.umax && smin <= other.smin && smax >= other.smax;
  }
  void forget_signed() { smin = std::numeric_limits<S>::min(), smax = std::numeric_limits<S>::max(); }
  void forget_unsigned() { umin = 0, umax = std::numeric_limits<U>::max(); }
};
using Range64 = Range<s64, u64>;
using Range32 = Range<s32, u32>;

// Liveness marks (kernel: enum bpf_reg_liveness): reads go up to parents until a write screens them off.
inline constexpr u8 kRead32 = 1, kRead64 = 2, kRead = kRead32 | kRead64, kWritten = 4, kDone = 8;

// How far a comparison of a packet pointer with packet_end got (Reg::range when not a length).
inline constexpr s32 kAtPacketEnd = -1, kBeyondPacketEnd = -2;

// A register, or a register spilled to a stack slot.
struct Reg {
  RegType type = kNotInit;
  s32 off = 0;  // constant part of a pointer's offset
  // What is pointed to, by type: MapObject (maps and their values and keys), Btf.
  const void* object = nullptr;
  // By type: packet range, map_uid of an inner map, BTF id, size of memory, number of a subprogram.
  u32 detail = 0;
  u8 dynptr_type = 0;  // stack slots of dynptrs: BPF_DYNPTR_TYPE_*, 0 none
  bool dynptr_first = false;
  u32 id = 0;          // shared by copies: null checks, packet ranges, equal scalars, locks
  u32 ref_obj_id = 0;  // the acquired reference this pointer came from
  // Of scalars the value, of pointers the variable part of the offset.
  Tnum var_off;
  Range64 r64;
  Range32 r32;

  Reg* parent = nullptr;        // the same register in the parent state, for liveness
  u32 frame = 0;                // of a stack pointer: whose stack
  s32 subreg_def = kNotSubreg;  // instruction index + 1 of a 32-bit definition
  u8 live = 0;
  bool precise = false;

  MapObject* map() const { return static_cast<MapObject*>(const_cast<void*>(object)); }
  const Btf* btf() const { return static_cast<const Btf*>(object); }
  s32 range() const { return static_cast<s32>(detail); }
  u32 btf_id() const { return detail; }
  u32 mem_size() const { return detail; }
  void point_to_map(const MapObject* map) { object = map; }
  void point_to_btf(const Btf* btf, u32 id) { object = btf, detail = id; }

  bool is_scalar() const { return type == kScalar; }
  bool is_const() const { return is_scalar() && var_off.is_const(); }
  bool is_null() const { return is_scalar() && var_off.equals(0); }
  bool may_be_null() const { return type & kMaybeNull; }
  bool is_packet() const { return base_type(type) == kPtrToPacket || base_type(type) == kPtrToPacketMeta; }
  bool is_packet_or_end() const { return is_packet() || type == kPtrToPacketEnd; }
  bool is_socket() const {
    return type == kPtrToSocket || type == kPtrToSockCommon || type == kPtrToTcpSock || type == kPtrToXdpSock;
  }
  bool is_bounded_scalar() const {
    return is_scalar() && !(var_off.is_unknown() && r64 == Range64{} && r32 == Range32{});
  }
  bool range_contains(const Reg& other) const { return r64.contains(other.r64) && r32.contains(other.r32); }

  // Same type, offset and target, whatever the ids and values.
  bool same_target(const Reg& other) const {
    return type == other.type && off == other.off && object == other.object && detail == other.detail &&
           dynptr_type == other.dynptr_type && dynptr_first == other.dynptr_first;
  }
  // The same in all that describes the value (not liveness, frame and precision).
  bool same_value(const Reg& other) const {
    return same_target(other) && id == other.id && ref_obj_id == other.ref_obj_id && var_off == other.var_off &&
           r64 == other.r64 && r32 == other.r32;
  }
  // Takes over everything but the place in the liveness tree.
  void copy_from(const Reg& other) {
    Reg* own_parent = parent;
    u8 own_live = live;
    *this = other;
    parent = own_parent;
    live = own_live;
  }
};

enum class Slot : u8 { kInvalid, kSpill, kMisc, kZero, kDynptr };

struct StackSlot {
  Reg spilled;
  std::array<Slot, kSlotSize> bytes{};

  bool is_spilled() const { return bytes[kSlotSize - 1] == Slot::kSpill; }
  // What a partial overwrite leaves of the other bytes.
  void scrub(u32 byte) {
    if (bytes[byte] != Slot::kInvalid) bytes[byte] = Slot::kMisc;
  }
  void scrub_all() {
    for (u32 byte = 0; byte < kSlotSize; ++byte) scrub(byte);
  }
};
// Slot number of the byte at frame pointer + offset.
constexpr s32 slot_of(s32 offset) {
  return (-offset - 1) / static_cast<s32>(kSlotSize);
}

struct Reference {
  u32 id = 0;
  s32 insn = 0;            // where it was acquired
  u32 callback_frame = 0;  // frame of the callback that acquired it, 0: not in a callback
  friend bool operator==(const Reference&, const Reference&) = default;
};

// One call frame.
struct Frame {
  std::array<Reg, kRegs> regs;
  s32 callsite = kMainCallsite;
  u32 number = 0;
  u32 subprog = 0;
  u32 async_entries = 0;  // bpf_timer_start counts, tells apart entries of an async callback
  bool in_callback = false;
  Tnum callback_result = Tnum::constant(0);
  bool in_async_callback = false;
  std::vector<Reference> refs;
  std::vector<StackSlot> stack;  // slot 0 ends at the frame pointer

  s32 allocated() const { return static_cast<s32>(stack.size() * kSlotSize); }
  // EINVAL: not held, or held by the caller of a callback.
  bool release(u32 id);
};

struct Jump {
  u32 index, previous;  // instruction that was reached, and from where
};

struct State {
  std::array<Frame*, kMaxFrames> frames{};
  u32 depth = 0;  // index of the current frame
  State* parent = nullptr;
  u32 branches = 0;  // paths from here that are still to be explored
  u32 insn = 0;
  u32 active_lock = 0;  // id of the held bpf_spin_lock
  bool speculative = false;
  s32 first_insn = 0, last_insn = 0;
  std::vector<Jump> jumps;

  Frame& frame() { return *frames[depth]; }
  const Frame& frame() const { return *frames[depth]; }
  Reg& reg(u32 number) { return frames[depth]->regs[number]; }
  // Every register and every spilled register of every frame.
  template <class F>
  void for_each_reg(F&& f) {
    for (u32 i = 0; i <= depth; ++i) {
      for (Reg& reg : frames[i]->regs) f(reg);
      for (StackSlot& slot : frames[i]->stack) {
        if (slot.bytes[0] == Slot::kSpill) f(slot.spilled);
      }
    }
  }
};

// A state kept at a prune point.
struct Explored {
  State state;
  Explored* next = nullptr;
  u32 misses = 0, hits = 0;
};

// Frames and explored states, recycled with their vectors.
class StatePool {
 public:
  Frame* take_frame();
  void give_back(Frame* frame) { free_frames_.push_back(frame); }
  // Makes `to` a copy of `from`, whatever it held (its place in the tree of states included).
  void copy(State& to, const State& from);
  void release(State& state);
  Explored* take_explored();
  void give_back(Explored* explored);

 private:
  std::vector<std::unique_ptr<Frame>> frames_;
  std::vector<Frame*> free_frames_;
  std::vector<std::unique_ptr<Explored>> explored_;
  std::vector<Explored*> free_explored_;
};

}  // namespace bpfemu
