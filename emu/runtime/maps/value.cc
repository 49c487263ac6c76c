// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/value.h"

#include "emu/runtime/held_lock.h"

namespace bpfemu {

void copy_value_in_locked(Run* run, const Map& map, void* to, const void* from) {
  HeldLock lock(run, value_lock(map, to));
  copy_value_in(map, to, from);
}

void free_kptrs(const Map& map, void* value) {
  for (u32 i = 0; i < map.kptr_count; ++i) {
    const KptrSlot& slot = map.kptrs[i];
    u64* kptr = reinterpret_cast<u64*>(static_cast<u8*>(value) + slot.offset);
    const u64 owned = __atomic_exchange_n(kptr, 0, __ATOMIC_ACQ_REL);
    if (owned && slot.destructor) slot.destructor(owned, 0, 0, 0, 0, nullptr);
  }
}

}  // namespace bpfemu
