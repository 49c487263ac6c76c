// SPDX-License-Identifier: Apache-2.0
#include "loader/call_site.h"

#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr u8 kMovEax = 0xb8, kJmp = 0xe9;
constexpr u16 kSyscall = 0x050f;
constexpr u64 kLine = 64;

}  // namespace

std::optional<u32> site_number(const SiteBytes& bytes) {
  if (bytes[0] != kMovEax || load<u16>(&bytes[kJumpSize]) != kSyscall) return std::nullopt;
  return load<u32>(&bytes[1]);
}

JumpBytes site_start(u32 number) {
  JumpBytes bytes = {kMovEax};
  std::memcpy(&bytes[1], &number, sizeof number);
  return bytes;
}

u64 jump_target(u64 from, const JumpBytes& bytes) {
  return bytes[0] == kJmp ? from + kJumpSize + static_cast<u64>(s64{load<s32>(&bytes[1])}) : 0;
}

std::optional<JumpBytes> jump_to(u64 from, u64 to) {
  const s64 distance = static_cast<s64>(to - from - kJumpSize);
  const s32 near = static_cast<s32>(distance);
  if (near != distance) return std::nullopt;
  JumpBytes jump = {kJmp};
  std::memcpy(&jump[1], &near, sizeof near);
  return jump;
}

bool in_one_line(u64 site) {
  return site / kLine == (site + kJumpSize - 1) / kLine;
}

}  // namespace bpfemu
