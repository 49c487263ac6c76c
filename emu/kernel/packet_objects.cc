// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/packet_objects.h"

#include <fmt/format.h>
#include <linux/bpf.h>

#include <algorithm>

#include "emu/runtime/contexts.h"
#include "emu/runtime/packet_programs.h"

namespace bpfemu {

namespace {

constexpr u16 kNoHeader = 0xffff;  // no test run finds the transport's header
constexpr u32 kChecksumBits = 5;  // where ip_summed lies in the byte that pkt_type begins

KernelObject object_of(ObjectSpace& space, std::string_view structure, const void* stands_for) {
  const KernelObject object = space.object(space.structure(structure), fmt::format("run {}", stands_for));
  if (object) space.let_stand_for(object.address(), reinterpret_cast<u64>(stands_for));
  return object;
}

// What sk_buff::cb holds where bpf uses it (kernel: struct bpf_skb_data_end, which begins with a qdisc_skb_cb).
struct ControlBlock {
  u32 packet_length = 0;
  u16 queue_mapping = 0, tc_classid = 0;
  u32 data[5] = {};
  u32 pad = 0;
  u64 data_meta = 0, data_end = 0;
};
static_assert(sizeof(ControlBlock) == 48);

// Kernel: bpf_compute_data_pointers is called for them in a test run.
bool has_data_pointers(u32 program_type) {
  return program_type == BPF_PROG_TYPE_SCHED_CLS || program_type == BPF_PROG_TYPE_SCHED_ACT ||
         program_type == BPF_PROG_TYPE_LWT_IN || program_type == BPF_PROG_TYPE_LWT_OUT ||
         program_type == BPF_PROG_TYPE_LWT_XMIT;
}

ControlBlock control_block(const RunSkb& skb) {
  ControlBlock block;
  block.packet_length = skb.wire_len;
  block.tc_classid = static_cast<u16>(skb.tc_classid);
  std::copy(std::begin(skb.cb), std::end(skb.cb), block.data);
  if (skb.data_meta && has_data_pointers(skb.program_type)) {
    block.data_meta = skb.data_meta;
    block.data_end = skb.data_end;
  }
  return block;
}

// Its struct sock, 0: none.
u64 sock_of(const RunSkb& skb) {
  if (!skb.sk) return 0;
  return skb.sk->kernel ? skb.sk->kernel : reinterpret_cast<u64>(skb.sk->object);
}

// CHECKSUM_*
u8 checksum_state(const RunSkb& skb) {
  return skb.csum_complete ? 2 : skb.csum_verified ? 1 : 0;
}

constexpr u32 kHasFrags = 1;  // kernel: XDP_FLAGS_HAS_FRAGS

u64 xdp_buff(ObjectSpace& space, const RunXdp& xdp) {
  const KernelObject device = object_of(space, "net_device", &xdp);
  device.set("ifindex", xdp.ingress_ifindex);
  const KernelObject queue = object_of(space, "xdp_rxq_info", &xdp);
  queue.set("dev", device.address());
  queue.set("queue_index", xdp.rx_queue_index);
  const KernelObject object = object_of(space, "xdp_buff", &xdp);
  object.set("data", xdp.data);
  object.set("data_end", xdp.data_end);
  object.set("data_meta", xdp.data_meta);
  object.set("data_hard_start", xdp.data_hard_start);
  object.set("flags", xdp.has_frags ? kHasFrags : u32{0});
  object.set("rxq", queue.address());
  return object.address();
}

}  // namespace

u64 shown_packet(ObjectSpace& space, const RunSkb& skb) {
  const KernelObject object = object_of(space, "sk_buff", &skb);
  object.set("len", skb.len);
  object.set("data_len", u32{0});  // packets are linear
  object.set("head", skb.head);
  object.set("data", skb.data);
  object.set("tail", static_cast<u32>(skb.data_end - skb.head));
  object.set("end", static_cast<u32>(skb.end - skb.head));
  object.set("network_header", static_cast<u16>(skb.network_header - skb.head));
  object.set("mac_header", static_cast<u16>(skb.mac_header - skb.head));
  object.set("transport_header", kNoHeader);
  object.set("dev", skb.device);
  object.set("sk", sock_of(skb));
  object.set("users.refs.counter", u32{1});
  object.set("cb", control_block(skb));
  object.set("pkt_type", static_cast<u8>(skb.pkt_type | checksum_state(skb) << kChecksumBits));
  object.set("queue_mapping", static_cast<u16>(skb.queue_mapping));
  object.set("mark", skb.mark);
  object.set("priority", skb.priority);
  object.set("protocol", static_cast<u16>(skb.protocol));
  object.set("hash", skb.hash);
  object.set("skb_iif", skb.ingress_ifindex);
  object.set("vlan_tci", static_cast<u16>(skb.vlan_tci));
  object.set("vlan_proto", static_cast<u16>(skb.vlan_proto));
  object.set("tc_index", static_cast<u16>(skb.tc_index));
  object.set("tstamp", skb.tstamp);
  return object.address();
}

u64 shown_context(ObjectSpace& space, SockObjects& socks, const Run& run) {
  const u32 type = run.program->type;
  if (is_packet_program(type)) {
    const auto& skb = *static_cast<const RunSkb*>(run.context);
    if (skb.sk) socks.show(*skb.sk);
    return shown_packet(space, skb);
  }
  if (type == BPF_PROG_TYPE_XDP) return xdp_buff(space, *static_cast<const RunXdp*>(run.context));
  return reinterpret_cast<u64>(run.context);
}

u64 context_shown_as(const Arena& arena, ObjectSpace& space, u64 object) {
  const u64 context = space.stands_for(object);
  return context && arena.contains(context, std::max(sizeof(RunSkb), sizeof(RunXdp))) ? context : 0;
}

}  // namespace bpfemu
