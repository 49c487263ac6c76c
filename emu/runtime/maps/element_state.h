// SPDX-License-Identifier: Apache-2.0
// Whether an element that its bucket leads to is in the map. Links and keys are the supervisor's to write; this word
// lies among the values. So a traced process that runs programs by itself deletes an element by saying that it is away,
// and puts another one with the same key where it was. Runtime code.
#pragma once

#include "emu/arena/layout.h"
#include "emu/arena/vcpu.h"

namespace bpfemu {

enum class Standing : u8 {
  kThere,
  kAway,  // deleted
  kBusy,  // away, and somebody is about to put it back
  kOut,   // its bucket leads to it no longer
};

// From bit 0 on: what it is; of a busy one who is at it, as the number of a seat and how often that had been taken; how
// often the element has left its bucket. Whoever writes to it may be hostile: there is no word that cannot be.
class ElementWord {
 public:
  static constexpr u32 kSupervisor = 0xff;  // in place of a seat
  static_assert(kSupervisor >= kMaxCpus);

  explicit ElementWord(u64 word) : word_(word) {}
  static ElementWord at(const u64* place) { return ElementWord(__atomic_load_n(place, __ATOMIC_ACQUIRE)); }

  u64 word() const { return word_; }
  Standing standing() const { return static_cast<Standing>(word_ & kStanding); }
  ElementWord as(Standing standing) const {
    return ElementWord((word_ & ~u64{0xffffffff}) | static_cast<u64>(standing));
  }
  ElementWord busy(u32 seat, u32 taken) const {
    return ElementWord(as(Standing::kBusy).word_ | u64{seat} << kSeatAt | u64{taken & kTaken} << kTakenAt);
  }
  ElementWord left() const { return ElementWord(as(Standing::kOut).word_ + (u64{1} << 32)); }
  // Of a busy one: has whoever was at it gone, without an end?
  bool is_abandoned(const CpuSeat* seats, u32 cpus) const {
    const u32 seat = word_ >> kSeatAt & kSeat;
    if (seat >= cpus) return seat != kSupervisor;
    return __atomic_load_n(&seats[seat].holder, __ATOMIC_ACQUIRE) == 0 ||
           (__atomic_load_n(&seats[seat].taken, __ATOMIC_ACQUIRE) & kTaken) != (word_ >> kTakenAt & kTaken);
  }
  // False: it is another one by now.
  bool change(u64* place, ElementWord to) const {
    u64 expected = word_;
    return __atomic_compare_exchange_n(place, &expected, to.word_, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
  }

 private:
  static constexpr u32 kSeatAt = 2, kTakenAt = 10;
  static constexpr u64 kStanding = 3, kSeat = 0xff, kTaken = 0x3fffff;
  u64 word_;
};

// Behind the values of a hash: how many elements have been deleted by changing their words, since the supervisor
// looked, and a word for each element.
struct ElementStates {
  u64 deleted;
  u64 words[];
};

}  // namespace bpfemu
