// SPDX-License-Identifier: Apache-2.0
// Flow dissectors and socket lookup.
#include <sys/socket.h>

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"
#include "emu/test_run/bench.h"

namespace bpfemu {
namespace {

constexpr u32 kPass = SK_PASS, kDrop = SK_DROP;

bool wants_only_repeat(const TestAttr& attr) {
  return !attr.flags && !attr.cpu && !attr.batch_size;
}

}  // namespace

// Kernel: bpf_prog_test_run_flow_dissector, bpf_flow_dissect.
Result<void> test_run_flow_dissector(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  if (!wants_only_repeat(attr)) return fail(EINVAL);
  const u32 size = attr.data_size_in;
  if (size < kEthernetHeader) return fail(EINVAL);
  const std::vector<u8> data = TRY(data_in(bench, size, 0, 0));
  auto context = TRY(context_in<bpf_flow_keys>(bench));
  constexpr size_t kFlags = offsetof(bpf_flow_keys, flags);
  if (context &&
      (!is_zero(&*context, 0, kFlags) || !is_zero(&*context, kFlags + sizeof context->flags, sizeof(bpf_flow_keys))))
    return fail(EINVAL);

  ArenaMemory memory = TRY(ArenaMemory::allocate(bench.arena, 2 * kPageSize));
  auto& skb = *new (memory.at(0)) RunSkb{};
  auto& keys = *new (memory.at(sizeof(RunSkb))) bpf_flow_keys{};
  std::memcpy(memory.at(kPageSize), data.data(), size);
  skb.head = skb.data = skb.data_meta = skb.mac_header = memory.address() + kPageSize;
  skb.network_header = skb.data + kEthernetHeader;
  skb.end = skb.data_end = skb.data + size;
  skb.len = size;
  skb.flow_keys = &keys;
  skb.program_type = bench.program.type;
  const u16 protocol = load<u16>(data.data() + 12);
  const u32 flags = context ? context->flags : 0;
  const ProgramEntry entry = bench.program.text().entry;

  const Verdict verdict = TRY(repeat(bench, &skb, [&](Run& run) {
    keys = {};
    keys.n_proto = protocol;
    keys.nhoff = keys.thoff = kEthernetHeader;
    keys.flags = flags;
    const u32 result = static_cast<u32>(entry(&run, &skb));
    const u16 end = static_cast<u16>(size);
    keys.nhoff = std::clamp<u16>(keys.nhoff, kEthernetHeader, end);
    keys.thoff = std::clamp<u16>(keys.thoff, keys.nhoff, end);
    return result;
  }));
  TRY(finish(bench, {.data = &keys, .size = sizeof keys}, verdict));
  return context ? context_out(bench, &*context, sizeof(bpf_flow_keys)) : Result<void>();
}

// Kernel: bpf_prog_test_run_sk_lookup.
Result<void> test_run_sk_lookup(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  if (!wants_only_repeat(attr)) return fail(EINVAL);
  if (attr.data_in || attr.data_size_in || attr.data_out || attr.data_size_out) return fail(EINVAL);
  auto context = TRY(context_in<bpf_sk_lookup>(bench));
  if (!context || context->sk) return fail(EINVAL);
  constexpr size_t kLast = offsetof(bpf_sk_lookup, local_port) + sizeof(bpf_sk_lookup::local_port);
  if (!is_zero(&*context, kLast, sizeof(bpf_sk_lookup))) return fail(EINVAL);
  if (context->local_port > 0xffff) return fail(ERANGE);
  const u16 family = static_cast<u16>(context->family);
  if (family != AF_INET && family != AF_INET6) return fail(EAFNOSUPPORT);

  ArenaMemory memory = TRY(ArenaMemory::allocate(bench.arena, sizeof(RunSkLookup)));
  auto& lookup = *new (memory.at(0)) RunSkLookup{};
  lookup.family = family;
  lookup.protocol = static_cast<u16>(context->protocol);
  lookup.remote_port = context->remote_port;
  lookup.local_port = context->local_port;
  if (family == AF_INET) {
    lookup.remote_ip4 = context->remote_ip4;
    lookup.local_ip4 = context->local_ip4;
  } else {
    std::memcpy(lookup.remote_ip6, context->remote_ip6, sizeof lookup.remote_ip6);
    std::memcpy(lookup.local_ip6, context->local_ip6, sizeof lookup.local_ip6);
  }
  const ProgramEntry entry = bench.program.text().entry;

  const Verdict verdict = TRY(repeat(bench, &lookup, [&](Run& run) {
    lookup.selected = nullptr;
    lookup.no_reuseport = 0;
    const u32 result = static_cast<u32>(entry(&run, &lookup));
    if (result != kPass) lookup.selected = nullptr;
    return result == kDrop ? kDrop : kPass;
  }));
  context->cookie = 0;
  if (lookup.selected) {
    if (lookup.selected->reuseport && !lookup.no_reuseport) return fail(EOPNOTSUPP);
    context->cookie = lookup.selected->cookie;
  }
  TRY(finish(bench, {}, verdict));
  return context_out(bench, &*context, sizeof(bpf_sk_lookup));
}

}  // namespace bpfemu
