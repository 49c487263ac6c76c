// SPDX-License-Identifier: Apache-2.0
// Checksums of packets. Runtime code.
#include "emu/runtime/helpers/checksum.h"

#include <linux/bpf.h>

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxOffset = 0xffff;
constexpr u16 kMangledZero = 0xffff;  // what UDP sends for a sum of 0 (kernel: CSUM_MANGLED_0)

// The checksum in the packet, null where there is none.
u8* sum_in(const RunSkb& skb, u32 offset) {
  if (offset > kMaxOffset || offset % 2 || skb.data_end - skb.data < u64{offset} + sizeof(u16)) return nullptr;
  return pointer_to<u8>(skb.data + offset);
}

// What replacing a field adds to a sum: fields of 2 or 4 bytes, or with 0 the difference itself. False: no such field.
bool difference(u64 field, u64 from, u64 to, u32& sum) {
  if (field != 0 && field != 2 && field != 4) return false;
  if (field == 0 && from != 0) return false;
  u32 mask = field == 2 ? 0xffff : 0xffffffff;
  sum = field == 0 ? low32(to) : csum_sub(low32(to) & mask, low32(from) & mask);
  return true;
}

void replace(u8* sum, u32 difference) {
  u32 old = static_cast<u16>(~load<u16>(sum));
  store<u16>(sum, csum_fold(csum_add(old, difference)));
}

}  // namespace

// The difference that replacing `from` by `to` makes to a checksum (kernel: bpf_csum_diff).
HELPER(help_csum_diff) {
  constexpr u32 kMaxBytes = 512;  // MAX_BPF_STACK
  u32 from_size = low32(r2), to_size = low32(r4);
  if (((from_size | to_size) & 3) || u64{from_size} + to_size > kMaxBytes) return result(-EINVAL);
  u64 sum = low32(r5);
  for (u32 i = 0; i < from_size; i += 4) sum += static_cast<u32>(~load<u32>(pointer_to<u8>(r1) + i));
  for (u32 i = 0; i < to_size; i += 4) sum += load<u32>(pointer_to<u8>(r3) + i);
  while (sum >> 32) sum = (sum & 0xffffffff) + (sum >> 32);
  return sum;
}

HELPER(help_csum_update) {
  RunSkb& skb = skb_at(r1);
  if (!skb.csum_complete) return result(-ENOTSUPP);
  return skb.csum = csum_add(skb.csum, low32(r2));
}

// Kernel: bpf_csum_level. A packet with its whole sum has no verified ones.
HELPER(help_csum_level) {
  constexpr u32 kMostLevels = 3;  // SKB_MAX_CSUM_LEVEL
  RunSkb& skb = skb_at(r1);
  switch (r2) {
    case BPF_CSUM_LEVEL_QUERY: return skb.csum_verified ? skb.csum_level : result(-EACCES);
    case BPF_CSUM_LEVEL_INC:
      if (skb.csum_verified)
        skb.csum_level += skb.csum_level < kMostLevels;
      else if (!skb.csum_complete)
        skb.csum_verified = 1;
      return 0;
    case BPF_CSUM_LEVEL_DEC:
      if (skb.csum_level)
        --skb.csum_level;
      else
        skb.csum_verified = 0;
      return 0;
    case BPF_CSUM_LEVEL_RESET: return forget_verified_csum(skb), 0;
    default: return result(-EINVAL);
  }
}

HELPER(help_l3_csum_replace) {
  if (r5 & ~u64{BPF_F_HDR_FIELD_MASK}) return result(-EINVAL);
  u8* sum = sum_in(skb_at(r1), low32(r2));
  if (!sum) return result(-EFAULT);
  u32 change = 0;
  if (!difference(r5 & BPF_F_HDR_FIELD_MASK, r3, r4, change)) return result(-EINVAL);
  replace(sum, change);
  return 0;
}

HELPER(help_l4_csum_replace) {
  constexpr u64 kFlags = BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR | BPF_F_HDR_FIELD_MASK;
  if (r5 & ~kFlags) return result(-EINVAL);
  RunSkb& skb = skb_at(r1);
  u8* sum = sum_in(skb, low32(r2));
  if (!sum) return result(-EFAULT);
  bool zero_means_none = r5 & BPF_F_MARK_MANGLED_0;
  if (zero_means_none && !(r5 & BPF_F_MARK_ENFORCE) && !load<u16>(sum)) return 0;
  u32 change = 0;
  if (!difference(r5 & BPF_F_HDR_FIELD_MASK, r3, r4, change)) return result(-EINVAL);
  replace(sum, change);
  // A changed pseudo header is no part of the packet that the whole sum covers; the checksum that follows it is.
  if (skb.csum_complete && (r5 & BPF_F_PSEUDO_HDR)) skb.csum = ~csum_add(~skb.csum, change);
  if (zero_means_none && !load<u16>(sum)) store<u16>(sum, kMangledZero);
  return 0;
}

}  // namespace bpfemu
