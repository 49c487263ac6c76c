// SPDX-License-Identifier: Apache-2.0
// Which maps descriptors lead to, for the image: in the arena, by the inode of the carrier. Runtime code.
#pragma once

#include "emu/arena/vcpu.h"
#include "emu/base/types.h"

namespace bpfemu {

struct Map;

struct MapIndex {
  static constexpr u32 kPlaces = 8192, kReach = 16;  // a carrier is at one of so many places
  struct Place {
    u64 inode;  // 0: none
    Map* map;
    bool writes;  // may elements be changed by the descriptor?
  };

  u64 device;  // of all carriers
  const u64* shares;  // Arena::shares(): who has not seen as many sees old values
  u64 gone;    // how many carriers have been taken out. What a map of one was may be something else
  CpuSeat* seats;  // null: no map can be changed
  u32 cpus;
  Place places[kPlaces + kReach];

  // False: there is no room near its place.
  bool add(u64 inode, Map* map, bool writes) {
    for (Place& place : reach(inode)) {
      if (place.inode != 0) continue;
      place.map = map;
      place.writes = writes;
      __atomic_store_n(&place.inode, inode, __ATOMIC_RELEASE);
      return true;
    }
    return false;
  }
  void remove(u64 inode) {
    for (Place& place : reach(inode)) {
      if (place.inode != inode) continue;
      __atomic_store_n(&place.inode, 0, __ATOMIC_RELEASE);
      __atomic_add_fetch(&gone, 1, __ATOMIC_SEQ_CST);
    }
  }
  // Null: it is not known. What is read from the map counts while `gone` stays as it was before.
  Place* place_of(u64 inode) {
    if (inode == 0) return nullptr;
    for (Place& place : reach(inode))
      if (__atomic_load_n(&place.inode, __ATOMIC_ACQUIRE) == inode) return &place;
    return nullptr;
  }

 private:
  struct Reach {
    Place* first;
    Place* begin() const { return first; }
    Place* end() const { return first + kReach; }
  };
  Reach reach(u64 inode) { return {&places[inode % kPlaces]}; }
};

}  // namespace bpfemu
