// SPDX-License-Identifier: Apache-2.0
#include "loader/call_site.h"

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr u8 kMovEax = 0xb8, kMovEdx = 0xba, kMovEsi = 0xbe, kMovEdi = 0xbf, kJmp = 0xe9;
constexpr JumpBytes kMovR9 = {0x4c, 0x8b, 0x4c, 0x24, 0x08};  // 8(%rsp), the last argument of syscall(2)
constexpr u16 kSyscall = 0x050f;
constexpr u64 kLine = 64;

}  // namespace

bool CallSite::sets_number() const { return start[0] == kMovEax; }

std::optional<CallSite> call_site(const SiteBytes& bytes, u32 number) {
  if (load<u16>(&bytes[kJumpSize]) != kSyscall) return std::nullopt;
  switch (bytes[0]) {
    case kMovEax:
      if (load<u32>(&bytes[1]) != number) return std::nullopt;
      break;
    case kMovEdx:
    case kMovEsi:
    case kMovEdi: break;
    default:
      if (!std::equal(std::begin(kMovR9), std::end(kMovR9), bytes.begin())) return std::nullopt;
  }
  CallSite site{number, {}};
  std::memcpy(site.start.data(), bytes.data(), site.start.size());
  return site;
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
