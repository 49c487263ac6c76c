// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/load_average.h"

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include "emu/base/fd.h"

namespace bpfemu {

namespace {

constexpr u32 kAverages = 3;
constexpr double kUnit = 2048;

void renew(u64 address) {
  const UniqueFd file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!file || ::read(file.get(), text, sizeof text - 1) <= 0) return;
  char* at = text;
  for (u32 n = 0; n < kAverages; ++n)
    store(reinterpret_cast<void*>(address + n * sizeof(u64)), static_cast<u64>(std::lround(::strtod(at, &at) * kUnit)));
}

}  // namespace

void show_load_averages(ObjectSpace& space, u64 address) {
  const u64 averages = address ? space.bytes("avenrun", kAverages * sizeof(u64)) : 0;
  if (averages) space.stands_at(address, averages, kAverages * sizeof(u64), renew);
}

}  // namespace bpfemu
