// SPDX-License-Identifier: Apache-2.0
// Helpers that work on map elements. The verifier lets a program call only what the map's type has.
#include "emu/runtime/held_lock.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

const MapOps& ops(u64 map) {
  return *map_ops(map_at(map).type);
}

constexpr s64 kUnsupported = -EOPNOTSUPP;  // of a type without the operation

}  // namespace

HELPER(help_map_lookup_elem) {
  auto* lookup = ops(r1).lookup;
  return lookup ? address_of(lookup(run, map_at(r1), pointer_to(r2))) : 0;
}
HELPER(help_map_lookup_percpu_elem) {
  auto* lookup = ops(r1).lookup_percpu;
  return lookup ? address_of(lookup(run, map_at(r1), pointer_to(r2), low32(r3))) : 0;
}
HELPER(help_map_update_elem) {
  auto* update = ops(r1).update;
  return result(update ? update(run, map_at(r1), pointer_to(r2), pointer_to(r3), r4) : kUnsupported);
}
HELPER(help_map_delete_elem) {
  auto* erase = ops(r1).erase;
  return result(erase ? erase(run, map_at(r1), pointer_to(r2)) : kUnsupported);
}
HELPER(help_map_push_elem) {
  auto* push = ops(r1).push;
  return result(push ? push(run, map_at(r1), pointer_to(r2), r3) : kUnsupported);
}
HELPER(help_map_pop_elem) {
  auto* pop = ops(r1).pop;
  return result(pop ? pop(run, map_at(r1), pointer_to(r2)) : kUnsupported);
}
HELPER(help_map_peek_elem) {
  auto* peek = ops(r1).peek;
  return result(peek ? peek(run, map_at(r1), pointer_to(r2)) : kUnsupported);
}
HELPER(help_for_each_map_elem) {
  auto* for_each = ops(r1).for_each;
  return result(for_each ? for_each(run, map_at(r1), reinterpret_cast<MapCallback>(r2), r3, r4) : -EINVAL);
}

// (void *map_value, void *ptr): what was there
HELPER(help_kptr_xchg) {
  return __atomic_exchange_n(pointer_to<u64>(r1), r2, __ATOMIC_SEQ_CST);
}

HELPER(help_spin_lock) {
  hold_lock(run, *pointer_to<ArenaLock>(r1));
  return 0;
}
HELPER(help_spin_unlock) {
  drop_lock(run, *pointer_to<ArenaLock>(r1));
  return 0;
}

}  // namespace bpfemu
