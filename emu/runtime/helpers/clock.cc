// SPDX-License-Identifier: Apache-2.0
// Clocks and random numbers.
#include <ctime>

#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u64 kHz = 250;  // CONFIG_HZ
constexpr u64 kNsPerJiffy = 1'000'000'000 / kHz;
constexpr u64 kInitialJiffies = u64{0} + static_cast<u32>(-300 * static_cast<s32>(kHz));

u64 clock_ns(Run* run, int id) {
  return run->env->clock(run->env->self, id);
}

}  // namespace

HELPER(help_ktime_get_ns) {
  return clock_ns(run, CLOCK_MONOTONIC);
}
HELPER(help_ktime_get_boot_ns) {
  return clock_ns(run, CLOCK_BOOTTIME);
}
HELPER(help_ktime_get_coarse_ns) {
  return clock_ns(run, CLOCK_MONOTONIC_COARSE);
}
HELPER(help_ktime_get_tai_ns) {
  return clock_ns(run, CLOCK_TAI);
}
// They go on when the clock ticks.
HELPER(help_jiffies64) {
  return kInitialJiffies + clock_ns(run, CLOCK_MONOTONIC_COARSE) / kNsPerJiffy;
}

// xorshift64*, a state per vCPU.
HELPER(help_get_prandom_u32) {
  u64& state = run->cpu->prandom[0];
  if (state == 0) state = __builtin_ia32_rdtsc() | 1;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return low32(state * 0x2545f4914f6cdd1d >> 32);
}

}  // namespace bpfemu
