// SPDX-License-Identifier: Apache-2.0
// The code for a site that makes calls of all numbers (short_sites.h).
#pragma once

#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

struct ShortStub {
  // Where one call is decided: in [begin, done) it is not made yet, and rax may be anything; in [done, end) it is.
  struct Part {
    u64 begin, done, end;
    u32 number;
  };
  std::vector<u8> code;
  std::vector<Part> parts;
};

inline constexpr u64 kShortStubSize = 4096;

// `resume`: behind the site's call. `asks`: where a call is made that the supervisor is to see, followed by a jump
// there. `image`: the process has it.
ShortStub build_short_stub(u64 resume, u64 asks, bool image);

}  // namespace bpfemu
