// SPDX-License-Identifier: Apache-2.0
// How helpers see their arguments and give results. Runtime code.
#pragma once

#include <cerrno>

#include "emu/runtime/helpers/helpers.h"
#include "emu/runtime/maps/map.h"
#include "emu/runtime/passing.h"

namespace bpfemu {

struct RunSkb;

// A helper takes what it needs: HELPER(name) { ... }. Unused registers stay unnamed in the body.
#define HELPER(name)                                                                                           \
  u64 name([[maybe_unused]] u64 r1, [[maybe_unused]] u64 r2, [[maybe_unused]] u64 r3, [[maybe_unused]] u64 r4, \
           [[maybe_unused]] u64 r5, [[maybe_unused]] Run* run)

inline Map& map_at(u64 address) {
  return *reinterpret_cast<Map*>(address);
}
inline RunSkb& skb_at(u64 context) {
  return *reinterpret_cast<RunSkb*>(context);
}
template <class T = void>
inline T* pointer_to(u64 address) {
  return reinterpret_cast<T*>(address);
}
inline u64 address_of(const void* pointer) {
  return reinterpret_cast<u64>(pointer);
}
inline u64 result(s64 value) {
  return static_cast<u64>(value);
}
// The user is told that the program has met what is not modelled.
inline void missing(Run* run, const char* what) {
  if (run->env->missing) run->env->missing(run->env->self, what);
}
// What the kernel declares as int or u32: the upper half of the register is not looked at.
inline u32 low32(u64 value) {
  return static_cast<u32>(value);
}

}  // namespace bpfemu
