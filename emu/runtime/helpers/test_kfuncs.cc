// SPDX-License-Identifier: Apache-2.0
// The kernel functions that exist to test calls of kernel functions (kernel: net/bpf/test_run.c). Runtime code.
#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u32 kSaturated = 0xc0000000;  // REFCOUNT_SATURATED
constexpr u64 kMostMemory = 8;          // two ints: `a` and `b`

u32& count_of(u64 object) {
  return *pointer_to<u32*>(object)[-1];
}

// Kernel: refcount_inc, refcount_dec. A count that was 0 or went too far stays saturated.
u64 take(u64 object) {
  u32& count = count_of(object);
  const s32 old = static_cast<s32>(__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED));
  if (old <= 0 || old == 0x7fffffff) __atomic_store_n(&count, kSaturated, __ATOMIC_RELAXED);
  return object;
}
void drop(u64 object) {
  u32& count = count_of(object);
  const s32 old = static_cast<s32>(__atomic_fetch_sub(&count, 1, __ATOMIC_RELEASE));
  if (old <= 1) __atomic_store_n(&count, kSaturated, __ATOMIC_RELAXED);
}

}  // namespace

// (struct sock *sk, u32 a, u64 b, u32 c, u64 d)
HELPER(kfunc_test_add4) {
  return low32(r2) + r3 + low32(r4) + r5;
}

// int (struct sock *sk, u32 a, u32 b)
HELPER(kfunc_test_add2) {
  return low32(r2 + r3);
}

// A program may look at the socket as the kernel's own struct.
HELPER(kfunc_test_sock) {
  if (r1 && run->env->show_sock) run->env->show_sock(run->env->self, pointer_to<RunSock>(r1));
  return r1;
}

HELPER(kfunc_test_acquire) {
  const u64 object = run->env->test_object ? run->env->test_object(run->env->self) : 0;
  return object ? take(object) : 0;
}

HELPER(kfunc_test_release) {
  if (r1) drop(r1);
  return 0;
}

// (struct prog_test_ref_kfunc **pp, int a, int b)
HELPER(kfunc_test_kptr_get) {
  const u64 object = __atomic_load_n(pointer_to<u64>(r1), __ATOMIC_RELAXED);
  return object ? take(object) : 0;
}

// (struct prog_test_ref_kfunc *p, const int size)
HELPER(kfunc_test_memory) {
  return low32(r2) > kMostMemory ? 0 : r1;
}

HELPER(kfunc_test_null) {
  return 0;
}

// For functions whose only point is which arguments the verifier lets through.
HELPER(kfunc_test_nothing) {
  return 0;
}

}  // namespace bpfemu
