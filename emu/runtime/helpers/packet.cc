// SPDX-License-Identifier: Apache-2.0
// Packets of network programs, which are linear but for the frags of XDP.
#include <linux/bpf.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxOffset = 0x7fffffff;
constexpr u32 kMaxXdpOffset = 0xffff;
constexpr u64 kXdpFrame = 40;  // sizeof(struct xdp_frame), at the start of the headroom
constexpr u64 kMaxMetadata = 32;

RunXdp& xdp_at(u64 context) {
  return *pointer_to<RunXdp>(context);
}

// [start + offset, + size) when it ends before `end`, else the buffer is zeroed.
s64 load_packet(u64 start, u64 end, u32 offset, u64 to, u32 size) {
  if (start <= end && u64{offset} + size <= end - start) {
    __builtin_memcpy(pointer_to(to), pointer_to(start + offset), size);
    return 0;
  }
  __builtin_memset(pointer_to(to), 0, size);
  return -EFAULT;
}

u64 xdp_linear(const RunXdp& xdp) {
  return xdp.data_end - xdp.data;
}
u64 xdp_size(const RunXdp& xdp) {
  return xdp_linear(xdp) + (xdp.has_frags ? xdp.frags_size : 0);
}

// Calls `piece(address, position in the buffer, size)` for the parts of [offset, offset + size) (kernel:
// bpf_xdp_pointer, bpf_xdp_copy_buf).
template <class Piece>
s64 for_xdp_bytes(RunXdp& xdp, u32 offset, u32 size, Piece piece) {
  if (offset > kMaxXdpOffset || size > kMaxXdpOffset) return -EFAULT;
  if (u64{offset} + size > xdp_size(xdp)) return -EINVAL;
  u64 linear = xdp_linear(xdp);
  u64 first = offset >= linear ? 0 : size < linear - offset ? size : linear - offset;
  piece(xdp.data + offset, u64{0}, first);
  if (first < size) piece(xdp.frags + (offset + first - linear), first, size - first);
  return 0;
}

}  // namespace

HELPER(help_skb_load_bytes) {
  RunSkb& skb = skb_at(r1);
  // Behind the context of a flow dissector's test run is no sk_buff (kernel: bpf_flow_dissector_load_bytes).
  if (skb.program_type == BPF_PROG_TYPE_FLOW_DISSECTOR) return result(load_packet(1, 0, 0, r3, low32(r4)));
  u32 offset = low32(r2) > kMaxOffset ? ~u32{0} : low32(r2);
  return result(load_packet(skb.data, skb.data_end, offset, r3, low32(r4)));
}

HELPER(help_skb_load_bytes_relative) {
  RunSkb& skb = skb_at(r1);
  u64 starts[] = {skb.mac_header, skb.network_header};
  u64 start = low32(r5) <= BPF_HDR_START_NET ? starts[low32(r5)] : 0;
  if (low32(r2) > kMaxXdpOffset || !start) start = skb.data_end + 1;
  return result(load_packet(start, skb.data_end, low32(r2), r3, low32(r4)));
}

HELPER(help_skb_store_bytes) {
  if (r5 & ~u64{BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH}) return result(-EINVAL);
  RunSkb& skb = skb_at(r1);
  if (low32(r2) > kMaxOffset || u64{low32(r2)} + low32(r4) > skb.data_end - skb.data) return result(-EFAULT);
  __builtin_memcpy(pointer_to(skb.data + low32(r2)), pointer_to(r3), low32(r4));
  if (r5 & BPF_F_INVALIDATE_HASH) forget_hash(skb);
  return 0;
}

// The packet is linear already; it cannot be longer than it is.
HELPER(help_skb_pull_data) {
  return result(low32(r2) > skb_at(r1).len ? -ENOMEM : 0);
}

HELPER(help_xdp_adjust_head) {
  RunXdp& xdp = xdp_at(r1);
  u64 metadata = xdp.data_meta > xdp.data ? 0 : xdp.data - xdp.data_meta;
  s64 offset = static_cast<s32>(r2);
  u64 data = xdp.data + static_cast<u64>(offset);
  if (data < xdp.data_hard_start + kXdpFrame + metadata || data + kEthernetHeader > xdp.data_end) {
    return result(-EINVAL);
  }
  if (metadata) {
    __builtin_memmove(pointer_to(data - metadata), pointer_to(xdp.data_meta), metadata);
  }
  if (xdp.data_meta <= xdp.data) xdp.data_meta += static_cast<u64>(offset);
  xdp.data = data;
  return 0;
}

namespace {

constexpr u32 kFragPage = 4096;

// All frags but the last fill their pages (kernel: bpf_xdp_frags_increase_tail).
s64 grow_frags(RunXdp& xdp, s32 by) {
  const u32 last = (xdp.frags_size - 1) % kFragPage + 1;
  if (by > static_cast<s32>(kFragPage - last)) return -EINVAL;
  __builtin_memset(pointer_to(xdp.frags + xdp.frags_size), 0, static_cast<u32>(by));
  xdp.frags_size += static_cast<u32>(by);
  return 0;
}

// From the end: what is left to cut when no frag is, goes from the linear part (kernel: bpf_xdp_frags_shrink_tail).
s64 shrink_frags(RunXdp& xdp, s32 by) {
  if (by > static_cast<s32>(xdp_size(xdp)) - static_cast<s32>(kEthernetHeader)) return -EINVAL;
  if (by <= 0) return 0;  // the least int is its own negative
  const u32 wanted = static_cast<u32>(by), cut = wanted < xdp.frags_size ? wanted : xdp.frags_size;
  xdp.frags_size -= cut;
  if (xdp.frags_size) return 0;
  xdp.has_frags = 0;
  xdp.data_end -= wanted - cut;
  return 0;
}

}  // namespace

HELPER(help_xdp_adjust_tail) {
  RunXdp& xdp = xdp_at(r1);
  if (xdp.has_frags && xdp.frags_size) {
    const s32 by = static_cast<s32>(r2);
    return result(by < 0 ? shrink_frags(xdp, static_cast<s32>(0u - static_cast<u32>(by))) : grow_frags(xdp, by));
  }
  s64 offset = static_cast<s32>(r2);
  u64 end = xdp.data_end + static_cast<u64>(offset);
  if (end > xdp.frame_end || end < xdp.data + kEthernetHeader) return result(-EINVAL);
  if (offset > 0) __builtin_memset(pointer_to(xdp.data_end), 0, static_cast<u64>(offset));
  xdp.data_end = end;
  return 0;
}

HELPER(help_xdp_adjust_meta) {
  RunXdp& xdp = xdp_at(r1);
  if (xdp.data_meta > xdp.data) return result(-ENOTSUPP);
  u64 meta = xdp.data_meta + static_cast<u64>(s64{static_cast<s32>(r2)});
  if (meta < xdp.data_hard_start + kXdpFrame || meta > xdp.data) return result(-EINVAL);
  u64 size = xdp.data - meta;
  if (size % 4 || size > kMaxMetadata) return result(-EACCES);
  xdp.data_meta = meta;
  return 0;
}

// Programs on trampolines have the struct xdp_buff.
HELPER(help_xdp_get_buff_len) {
  const bool shown = run->program && run->program->type == BPF_PROG_TYPE_TRACING;
  const u64 context = !shown ? r1 : run->env->packet_of ? run->env->packet_of(run->env->self, r1) : 0;
  if (context) return xdp_size(xdp_at(context));
  missing(run, "the length of a packet that no test run made");
  return 0;
}

HELPER(help_xdp_load_bytes) {
  u8* to = pointer_to<u8>(r3);
  return result(for_xdp_bytes(xdp_at(r1), low32(r2), low32(r4), [to](u64 address, u64 position, u64 size) {
    __builtin_memcpy(to + position, pointer_to(address), size);
  }));
}

HELPER(help_xdp_store_bytes) {
  const u8* from = pointer_to<const u8>(r3);
  return result(for_xdp_bytes(xdp_at(r1), low32(r2), low32(r4), [from](u64 address, u64 position, u64 size) {
    __builtin_memcpy(pointer_to(address), from + position, size);
  }));
}

}  // namespace bpfemu
