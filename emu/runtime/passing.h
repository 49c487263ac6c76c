// SPDX-License-Identifier: Apache-2.0
// Functions of the kernel that runtime code stands for, and which programs may be attached to: the helpers' own, and
// those of emu/abi/bpf_functions.inc. Where one is passed somebody may listen. Runtime code.
#pragma once

#include "emu/runtime/run.h"

namespace bpfemu {

enum class RuntimeFunction : u16 {
#define BPF_FUNCTION(symbol) symbol,
#include "emu/abi/bpf_functions.inc"
#undef BPF_FUNCTION
#define PROTO(variant, helper, symbol, ...) helper_##variant,
#include "emu/abi/helpers.inc"
#undef PROTO
  kCount
};

inline bool is_listened(const Run* run, RuntimeFunction function) {
  return run && run->listened && run->listened[static_cast<u16>(function)];
}

// A function is entered with its arguments; without listeners it is nothing.
class RuntimePassing {
 public:
  RuntimePassing(Run* run, RuntimeFunction function, u64 first = 0, u64 second = 0, u64 third = 0, u64 fourth = 0, u64 fifth = 0)
      : run_(is_listened(run, function) ? run : nullptr) {
    if (__builtin_expect(run_ != nullptr, 0)) enter(function, {first, second, third, fourth, fifth});
  }
  // And returns `result`.
  template <class T>
  T leave(T result) {
    if (__builtin_expect(run_ != nullptr, 0)) told(word(result));
    return result;
  }

 private:
  void enter(RuntimeFunction function, const u64 (&arguments)[kRuntimeArguments]);
  void told(u64 result);
  static u64 word(const void* pointer) { return reinterpret_cast<u64>(pointer); }
  static u64 word(s64 number) { return static_cast<u64>(number); }
  static u64 word(u64 number) { return number; }

  Run* run_;
  RuntimeCall call_;
};

// JIT code calls helpers by way of this in programs that are assembled to tell of them.
extern "C" u64 bpfemu_helper_called(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run, HelperFn helper, u64 function);

}  // namespace bpfemu
