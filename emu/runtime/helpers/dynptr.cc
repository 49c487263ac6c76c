// SPDX-License-Identifier: Apache-2.0
// Dynptrs: memory with a size that is known at run time only. The verifier keeps the two stack slots of a dynptr for
// these helpers alone. Runtime code.
#include <linux/bpf.h>

#include "emu/base/bytes.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/dynptr.h"
#include "emu/runtime/maps/ringbuf.h"

namespace bpfemu {

namespace {

constexpr u64 kMaxSize = (1 << 24) - 1;  // kernel: DYNPTR_MAX_SIZE

s64 refuse(Dynptr& dynptr, s64 error) {
  dynptr = {};
  return error;
}

// Where [offset, offset + length) of the dynptr lies, 0: beyond its end.
u64 slice(const Dynptr& dynptr, u64 offset, u64 length) {
  u32 at = low32(offset), size = low32(length);
  if (size > dynptr.size || at > dynptr.size - size) return 0;
  return dynptr.data + dynptr.offset + at;
}

// Where a copy of `length` bytes begins, or why there can be none.
s64 reach(const Dynptr& dynptr, u64 offset, u64 length, u64 flags, u64& at) {
  if (!dynptr.data || flags) return -EINVAL;
  at = slice(dynptr, offset, length);
  return at ? 0 : -E2BIG;
}

void finish_record(u64 dynptr_address, u64 flags, bool discard, Run* run) {
  Dynptr& dynptr = dynptr_at(dynptr_address);
  if (!dynptr.data) return;
  ring_commit(run, pointer_to(dynptr.data), flags, discard);
  dynptr = {};
}

}  // namespace

// Kernel: bpf_user_ringbuf_drain.
HELPER(help_user_ringbuf_drain) {
  constexpr u64 kMaxSamples = 128 * 1024;  // BPF_MAX_USER_RINGBUF_SAMPLES
  if (r4 & ~u64{BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP}) return result(-EINVAL);
  RingMap& map = *pointer_to<RingMap>(r1);
  if (__atomic_exchange_n(&map.busy, 1, __ATOMIC_ACQUIRE)) return result(-EBUSY);
  auto* callback = reinterpret_cast<MapCallback>(r2);
  s64 seen = 0, taken = 0, error = 0;
  for (u64 stop = 0; static_cast<u64>(seen) < kMaxSamples && !stop; ++seen) {
    breathe(run);
    u8* record = nullptr;
    const s64 size = user_ring_peek(map, &record);
    if (size == -ENODATA) break;
    if (size == -EAGAIN) continue;
    if (size < 0) {
      error = size;
      break;
    }
    Dynptr dynptr{.data = address_of(record), .size = static_cast<u32>(size), .offset = 0};
    stop = callback(address_of(&dynptr), r3, 0, 0, 0, run);
    user_ring_release(map, static_cast<u64>(size));
    ++taken;
  }
  __atomic_store_n(&map.busy, 0, __ATOMIC_RELEASE);
  const bool wake = (r4 & BPF_RB_FORCE_WAKEUP) || (!(r4 & BPF_RB_NO_WAKEUP) && seen > 0);
  if (wake && run->env->wake) run->env->wake(run->env->self, &map);
  return result(error ? error : taken);
}

HELPER(help_dynptr_from_mem) {
  Dynptr& dynptr = dynptr_at(r4);
  if (low32(r2) > kMaxSize) return result(refuse(dynptr, -E2BIG));
  if (r3) return result(refuse(dynptr, -EINVAL));
  dynptr = {.data = r1, .size = low32(r2), .offset = 0};
  return 0;
}

HELPER(help_ringbuf_reserve_dynptr) {
  Dynptr& dynptr = dynptr_at(r4);
  if (r3) return result(refuse(dynptr, -EINVAL));
  if (low32(r2) > kMaxSize) return result(refuse(dynptr, -E2BIG));
  void* record = ring_reserve(run, *pointer_to<RingMap>(r1), low32(r2));
  if (!record) return result(refuse(dynptr, -EINVAL));
  dynptr = {.data = address_of(record), .size = low32(r2), .offset = 0};
  return 0;
}

HELPER(help_ringbuf_submit_dynptr) {
  finish_record(r1, r2, false, run);
  return 0;
}

HELPER(help_ringbuf_discard_dynptr) {
  finish_record(r1, r2, true, run);
  return 0;
}

HELPER(help_dynptr_read) {
  u64 at = 0;
  if (s64 error = reach(dynptr_at(r3), r4, r2, r5, at)) return result(error);
  __builtin_memmove(pointer_to(r1), pointer_to(at), low32(r2));
  return 0;
}

HELPER(help_dynptr_write) {
  u64 at = 0;
  if (s64 error = reach(dynptr_at(r1), r2, r4, r5, at)) return result(error);
  __builtin_memmove(pointer_to(at), pointer_to(r3), low32(r4));
  return 0;
}

HELPER(help_dynptr_data) {
  const Dynptr& dynptr = dynptr_at(r1);
  return dynptr.data ? slice(dynptr, r2, r3) : 0;
}

}  // namespace bpfemu
