// SPDX-License-Identifier: Apache-2.0
// SYN cookies: a connection's first number says what its listener need not remember. The secret is the model's, so that
// the numbers are not any kernel's; what holds between them does (kernel: net/ipv4/syncookies.c). Runtime code.
#include <linux/bpf.h>
#include <netinet/in.h>

#include <ctime>

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u32 kTcpHeader = 20, kTcpListen = 10;
constexpr u32 kBits = 24, kMask = (1u << kBits) - 1;
constexpr u32 kMostAge = 2;  // minutes
constexpr u32 kSizes = 4;

// The two ends of a connection; the addresses as the packet has them.
struct Ends {
  const u8* addresses;
  u32 size;  // of both
  const u8* ports;
};
struct Family {
  u32 address, addresses_at;
  u16 sizes[kSizes];  // of segments that can be told
  u16 usual;
};
constexpr Family kIpv4{4, 12, {536, 1300, 1440, 1460}, 536};
constexpr Family kIpv6{16, 8, {1220, 1420, 1440, 8940}, 1220};

u32 be32(const u8* from) {
  return __builtin_bswap32(load<u32>(from));
}
u16 be16(const u8* from) {
  return __builtin_bswap16(load<u16>(from));
}

Ends ends(const Family& family, u64 ip, u64 tcp) {
  return {pointer_to<u8>(ip + family.addresses_at), 2 * family.address, pointer_to<u8>(tcp)};
}

u32 hash(const Run* run, const Ends& ends, u32 minute, u32 kind) {
  u64 state = address_of(run->env) ^ (u64{minute} << 1 | kind);
  auto mix = [&state](const u8* bytes, u32 size) {
    for (u32 i = 0; i < size; ++i) state = (state ^ bytes[i]) * 0x100000001b3, state ^= state >> 29;
  };
  mix(ends.addresses, ends.size);
  mix(ends.ports, 4);
  return low32(state ^ state >> 32);
}

u32 minute(Run* run) {
  return low32(run->env->clock(run->env->self, CLOCK_MONOTONIC) / 60'000'000'000);
}

// The segment size that the other end announces, 0: none (kernel: tcp_parse_mss_option).
u16 announced_size(const u8* header) {
  constexpr u8 kEnd = 0, kNothing = 1, kSegmentSize = 2;
  u16 size = 0;
  const u8* at = header + kTcpHeader;
  for (s32 left = (header[12] >> 4) * 4 - static_cast<s32>(kTcpHeader); left > 0;) {
    if (*at == kEnd) break;
    if (*at == kNothing) {
      ++at, --left;
      continue;
    }
    if (left < 2 || at[1] < 2 || at[1] > left) break;
    if (at[0] == kSegmentSize && at[1] == 4 && be16(at + 2)) size = be16(at + 2);
    left -= at[1];
    at += at[1];
  }
  return size;
}

u64 make(Run* run, const Family& family, u64 ip, u64 tcp, u32 size) {
  const u8* header = pointer_to<u8>(tcp);
  if (size < kTcpHeader || size != (header[12] >> 4) * 4u) return result(-EINVAL);
  const u16 announced = announced_size(header);
  const u16 segment = announced ? announced : family.usual;
  u32 index = kSizes - 1;
  while (index && segment < family.sizes[index]) --index;
  const Ends both = ends(family, ip, tcp);
  const u32 now = minute(run);
  const u32 cookie =
      hash(run, both, 0, 0) + be32(header + 4) + (now << kBits) + ((hash(run, both, now, 1) + index) & kMask);
  return cookie | u64{family.sizes[index]} << 32;
}

u64 check(Run* run, const Family& family, u64 ip, u64 tcp) {
  const u8* header = pointer_to<u8>(tcp);
  const Ends both = ends(family, ip, tcp);
  const u32 cookie = be32(header + 8) - 1 - hash(run, both, 0, 0) - (be32(header + 4) - 1);
  const u32 now = minute(run), age = (now - (cookie >> kBits)) & (~0u >> kBits);
  const bool fresh = age < kMostAge;
  return fresh && ((cookie - hash(run, both, now - age, 1)) & kMask) < kSizes ? 0 : result(-EACCES);
}

}  // namespace

HELPER(help_tcp_raw_gen_syncookie_ipv4) {
  return make(run, kIpv4, r1, r2, low32(r3));
}
HELPER(help_tcp_raw_gen_syncookie_ipv6) {
  return make(run, kIpv6, r1, r2, low32(r3));
}
HELPER(help_tcp_raw_check_syncookie_ipv4) {
  return check(run, kIpv4, r1, r2);
}
HELPER(help_tcp_raw_check_syncookie_ipv6) {
  return check(run, kIpv6, r1, r2);
}

// (struct sock *, iph, u32 iph_len, th, u32 th_len), of a listener; the sockets of test runs are none.
HELPER(help_tcp_check_syncookie) {
  const RunSock* sock = pointer_to<RunSock>(r1);
  const bool listens = sock && sock->state == kTcpListen && sock->protocol == IPPROTO_TCP;
  if (listens) missing(run, "SYN cookies of listeners");
  return result(-EINVAL);
}
HELPER(help_tcp_gen_syncookie) {
  return help_tcp_check_syncookie(r1, r2, r3, r4, r5, run);
}

}  // namespace bpfemu
