// SPDX-License-Identifier: Apache-2.0
// Calls of map helpers that are only ever made with one map (or with what one map of maps holds) go to the map type's
// own function, and lookups in plain arrays need no call (kernel: map_gen_lookup, and the direct calls of
// do_misc_fixups).
#include "emu/base/bytes.h"
#include "emu/jit/emitter.h"
#include "emu/runtime/maps/array.h"

namespace bpfemu {

using namespace Xbyak;

bool Emitter::emit_map_call(MapCall call, const Map& map) {
  const MapOps* ops = map_ops(map.type);
  const bool inlines = call == MapCall::kLookup && map.type == BPF_MAP_TYPE_ARRAY;
  if (!ops || (input_.apart && !inlines)) return false;
  switch (call) {
    case MapCall::kLookup:
      if (map.type == BPF_MAP_TYPE_ARRAY && !(map.flags & BPF_F_INNER_MAP)) return emit_array_lookup(map), true;
      return !input_.apart && call_map(ops->lookup, 1);
    case MapCall::kUpdate: return call_map(ops->update, 3);
    case MapCall::kDelete: return call_map(ops->erase, 1);
    default: return false;
  }
}

// `function(Run*, Map&, ...)` with `arguments` of the program's own after the map.
template <class Native>
bool Emitter::call_map(Native* function, u32 arguments) {
  if (!function) return false;
  if (arguments == 3) {
    mov(r8, rcx);
    mov(rcx, rdx);
  }
  mov(rdx, rsi);
  mov(rsi, rdi);
  mov(rdi, r12);
  call_address(reinterpret_cast<u64>(function));
  return true;
}

// R0 = the address of the value whose index R2 points to in the map R1, 0 beyond the last one. Arrays that one map of
// maps holds differ in address only.
void Emitter::emit_array_lookup(const Map& map) {
  const auto& array = static_cast<const ArrayMap&>(map);
  Label beyond, done;
  mov(eax, dword[rsi]);
  cmp(eax, array.max_entries);
  jae(beyond, T_SHORT);
  lea(r9, ptr[rdi + static_cast<int>(array.values)]);
  if (array.stride == 8) {
    lea(rax, ptr[r9 + rax * 8]);
  } else {
    if (is_power_of_two(array.stride))
      shl(rax, __builtin_ctz(array.stride));
    else
      imul(rax, rax, static_cast<int>(array.stride));
    add(rax, r9);
  }
  jmp(done, T_SHORT);
  L(beyond);
  xor_(eax, eax);
  L(done);
}

}  // namespace bpfemu
