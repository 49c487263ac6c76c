// SPDX-License-Identifier: Apache-2.0
// A place where a program makes a system call, in the form that is patched:
//   bX VALUE        mov $VALUE,%eax, or %edx, %esi, %edi; or, as syscall(2) of libraries has it,
//   4c 8b 4c 24 08  mov 8(%rsp),%r9                        becomes a jump of the same five bytes
//   0f 05           syscall                                is not touched: a thread that stands there is not harmed
#pragma once

#include <array>
#include <optional>
#include <span>

#include "emu/base/types.h"

namespace bpfemu {

inline constexpr u64 kCallSize = 2, kJumpSize = 5, kSiteSize = kJumpSize + kCallSize;
using SiteBytes = std::array<u8, kSiteSize>;
using JumpBytes = std::array<u8, kJumpSize>;

struct CallSite {
  u32 number;       // of the call
  JumpBytes start;  // the instruction that is patched

  // Or does another one before it?
  bool sets_number() const;
};
// Where call `number` was made. Empty: another form.
std::optional<CallSite> call_site(const SiteBytes& bytes, u32 number);
// Where such a jump leads, 0: it is none.
u64 jump_target(u64 from, const JumpBytes& bytes);
// `jmp` from one address to another. Empty: out of reach.
std::optional<JumpBytes> jump_to(u64 from, u64 to);
// Other threads may run into the site while it is patched. Its first five bytes must be fetched in one piece.
bool in_one_line(u64 site);

}  // namespace bpfemu
