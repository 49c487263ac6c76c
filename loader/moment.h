// SPDX-License-Identifier: Apache-2.0
// For whoever must wait and holds up the tracer's loop meanwhile: a moment, and no longer.
#pragma once

#include <time.h>

#include <functional>

namespace bpfemu {

// Is it done within some ten milliseconds?
inline bool comes_soon(const std::function<bool()>& done) {
  constexpr int kTries = 1000;
  constexpr timespec kNap = {0, 10'000};
  for (int tries = 0; tries < kTries; ++tries) {
    if (done()) return true;
    ::nanosleep(&kNap, nullptr);
  }
  return done();
}

}  // namespace bpfemu
