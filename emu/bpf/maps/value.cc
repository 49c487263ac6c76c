// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/maps/value.h"

#include "emu/arena/held_lock.h"

namespace bpfemu {

void copy_value_in_locked(Run* run, const Map& map, void* to, const void* from) {
  HeldLock lock(run, value_lock(map, to));
  copy_value_in(map, to, from);
}

}  // namespace bpfemu
