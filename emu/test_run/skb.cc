// SPDX-License-Identifier: Apache-2.0
// Socket filters, traffic control, lightweight tunnels, cgroup packet filters (kernel: bpf_prog_test_run_skb).
#include <sys/socket.h>

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"
#include "emu/test_run/bench.h"

namespace bpfemu {
namespace {

constexpr u64 kHeadroom = 64;            // NET_SKB_PAD + NET_IP_ALIGN
constexpr u64 kBuffer = 64 * kPageSize;  // what helpers may make the packet grow into, both ways
constexpr u64 kObjectsAt = 16 * kPageSize, kPacketAt = kObjectsAt + 2304;  // a small packet shares their page
static_assert(sizeof(RunSock) + sizeof(RunSkb) + kHeadroom <= kPacketAt - kObjectsAt);
constexpr u16 kIpv4 = 0x0800, kIpv6 = 0x86dd, kRaw8023 = 0x0001, kLlc = 0x0004, kFirstProtocol = 0x0600;
constexpr u32 kIpv4Header = 20, kIpv6Header = 40;
constexpr u32 kPacketMulticast = 2, kPacketOtherHost = 3;
constexpr u32 kTcpClose = 7;
constexpr u16 kNoHeader = 0xffff;  // sk_buff::mac_header before it is known
constexpr u32 kGsoMaxSize = 65536, kGsoMaxSegments = 65535;

u16 be16(const u8* from) {
  return __builtin_bswap16(load<u16>(from));
}

// Kernel: eth_type_trans, on a device whose address is all zeros, as the loopback device's is.
u16 take_link_header(RunSkb& skb, u64 device) {
  const u8* const header = reinterpret_cast<const u8*>(skb.data);
  skb.device = device;
  skb.mac_header = skb.data;
  skb.data += kEthernetHeader;
  skb.len -= kEthernetHeader;
  if (!is_zero(header, 0, 6)) skb.pkt_type = header[0] & 1 ? kPacketMulticast : kPacketOtherHost;
  u16 protocol = be16(header + 12);
  if (protocol < kFirstProtocol)
    protocol = skb.len >= 2 && load<u16>(header + kEthernetHeader) == 0xffff ? kRaw8023 : kLlc;
  return __builtin_bswap16(protocol);
}

// The dummy socket gets the packet's addresses. EINVAL: not even a whole header.
Result<void> set_addresses(RunSock& sock, u32 protocol, const u8* header, u32 size) {
  if (protocol == __builtin_bswap16(kIpv4)) {
    if (size < kIpv4Header) return fail(EINVAL);
    sock.family = AF_INET;
    sock.src_ip4 = load<u32>(header + 12);
    sock.dst_ip4 = load<u32>(header + 16);
  } else if (protocol == __builtin_bswap16(kIpv6)) {
    if (size < kIpv6Header) return fail(EINVAL);
    sock.family = AF_INET6;
    std::memcpy(sock.src_ip6, header + 8, sizeof sock.src_ip6);
    std::memcpy(sock.dst_ip6, header + 24, sizeof sock.dst_ip6);
  }
  return {};
}

// Fields of the tool's __sk_buff that may be set; the others must be zero (kernel: convert___skb_to_skb).
constexpr struct {
  size_t offset, size;
} kSettable[] = {
#define FIELD(name) \
  { offsetof(__sk_buff, name), sizeof(__sk_buff::name) }
    FIELD(mark),   FIELD(priority), FIELD(ingress_ifindex), FIELD(ifindex),  FIELD(cb),
    FIELD(tstamp), FIELD(wire_len), FIELD(gso_segs),        FIELD(gso_size), FIELD(hwtstamp),
#undef FIELD
};

Result<void> apply(const __sk_buff& from, RunSkb& skb) {
  size_t at = 0;
  for (const auto& field : kSettable) {
    if (!is_zero(&from, at, field.offset)) return fail(EINVAL);
    at = field.offset + field.size;
  }
  if (!is_zero(&from, at, sizeof from)) return fail(EINVAL);

  skb.mark = from.mark;
  skb.priority = from.priority;
  skb.ingress_ifindex = from.ingress_ifindex;
  skb.tstamp = from.tstamp;
  std::memcpy(skb.cb, from.cb, sizeof skb.cb);
  if (from.wire_len && (from.wire_len < skb.len || from.wire_len > kGsoMaxSize)) return fail(EINVAL);
  skb.wire_len = from.wire_len ? from.wire_len : skb.len;
  if (from.gso_segs > kGsoMaxSegments) return fail(EINVAL);
  skb.gso_segs = from.gso_segs;
  skb.gso_size = from.gso_size;
  skb.hwtstamp = from.hwtstamp;
  return {};
}

// Kernel: convert_skb_to___skb; the rest of the tool's struct goes back as it came.
void report(const RunSkb& skb, __sk_buff& to) {
  to.mark = skb.mark;
  to.priority = skb.priority;
  to.ingress_ifindex = skb.ingress_ifindex;
  to.ifindex = skb.ifindex;
  to.tstamp = skb.tstamp;
  std::memcpy(to.cb, skb.cb, sizeof to.cb);
  to.wire_len = skb.wire_len;
  to.gso_segs = skb.gso_segs;
  to.hwtstamp = skb.hwtstamp;
}

// Kernel: skb_checksum, folded: two sums of the same data may differ before they are.
u16 checksum(u64 from, u64 to) {
  u64 sum = 0;
  for (; from + 1 < to; from += 2) sum += load<u16>(reinterpret_cast<const u8*>(from));
  if (from < to) sum += load<u8>(reinterpret_cast<const u8*>(from));
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(sum);
}

u16 fold(u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(sum + (sum >> 16));
}

bool starts_at_link_layer(u32 type) {
  return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SCHED_ACT;
}

// The packet with its socket, as the kernel has them before it looks into the packet.
RunSkb& place(const ArenaMemory& memory, const std::vector<u8>& packet, u32 program_type) {
  auto& sock = *new (memory.at(kObjectsAt)) RunSock{};
  sock.state = kTcpClose;
  sock.rx_queue_mapping = -1;
  sock.full = true;
  auto& skb = *new (memory.at(kObjectsAt + sizeof(RunSock))) RunSkb{};
  skb.sk = &sock;
  skb.program_type = program_type;
  skb.head = skb.network_header = memory.address() + kPacketAt - kHeadroom;
  skb.mac_header = skb.head + kNoHeader;
  skb.end = memory.address() + kBuffer;
  skb.data = memory.address() + kPacketAt;
  skb.len = static_cast<u32>(packet.size());
  skb.data_end = skb.data + skb.len;
  std::memcpy(memory.at(kPacketAt), packet.data(), packet.size());
  return skb;
}

Result<void> run_on(TestBench& bench, RunSkb& skb, std::optional<__sk_buff>& context) {
  const bool sums = bench.attr.flags & BPF_F_TEST_SKB_CHECKSUM_COMPLETE;
  skb.ifindex = context && context->ifindex > kLoopback ? context->ifindex : kLoopback;
  const u64 device = TRY(bench.caller.device(skb.ifindex));
  skb.protocol = bench.caller.taking_link_header(skb, device, [&] { return take_link_header(skb, device); });
  skb.network_header = skb.data;
  TRY(set_addresses(*skb.sk, skb.protocol, reinterpret_cast<const u8*>(skb.data), skb.len));

  const bool link_layer = starts_at_link_layer(bench.program.type);
  if (link_layer) {
    skb.data -= kEthernetHeader;
    skb.len += kEthernetHeader;
  }
  skb.data_meta = skb.data;
  if (context) TRY(apply(*context, skb));
  if (sums) {
    skb.csum = checksum(skb.network_header, skb.data_end);
    skb.csum_complete = 1;
  }

  const Verdict verdict = TRY(repeat(bench, &skb));

  if (!link_layer) {
    // The header was taken off: zeros stand in for it.
    skb.data -= kEthernetHeader;
    skb.len += kEthernetHeader;
    std::memset(reinterpret_cast<void*>(skb.data), 0, kEthernetHeader);
  }
  if (sums && fold(skb.csum) != checksum(skb.network_header, skb.data_end)) return fail(EBADMSG);
  if (context) report(skb, *context);
  TRY(finish(bench, {.data = reinterpret_cast<const void*>(skb.data), .size = skb.len}, verdict));
  return context ? context_out(bench, &*context, sizeof(__sk_buff)) : Result<void>();
}

}  // namespace

Result<void> test_run_skb(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  if ((attr.flags & ~u32{BPF_F_TEST_SKB_CHECKSUM_COMPLETE}) || attr.cpu || attr.batch_size) return fail(EINVAL);
  const u32 size = attr.data_size_in;
  if (size < kEthernetHeader) return fail(EINVAL);
  const std::vector<u8> data = TRY(data_in(bench, size, kHeadroom, kSharedInfo));
  auto context = TRY(context_in<__sk_buff>(bench));

  const ArenaMemory memory = TRY(ArenaMemory::allocate(bench.arena, kBuffer));
  RunSkb& skb = place(memory, data, bench.program.type);
  const Result<void> result = run_on(bench, skb, context);
  bench.caller.freed(skb);
  return result;
}

}  // namespace bpfemu
