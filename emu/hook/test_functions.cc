// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/test_functions.h"

#include <algorithm>
#include <span>

#include "emu/base/bytes.h"
#include "emu/hook/record.h"
#include "emu/kernel/packet_objects.h"

namespace bpfemu {

namespace {

constexpr u32 kFreedAt = 0x4d5;    // behind its call of kfree_skb_reason
constexpr u32 kNotSpecified = 1;  // SKB_DROP_REASON_NOT_SPECIFIED

struct TestFunction {
  Hook hook;
  u64 arguments[6];
  s64 result;
};

constexpr TestFunction kTests[] = {
    {Hook::bpf_fentry_test1, {1}, 2},
    {Hook::bpf_fentry_test2, {2, 3}, 5},
    {Hook::bpf_fentry_test3, {4, 5, 6}, 15},
    {Hook::bpf_fentry_test4, {7, 8, 9, 10}, 34},
    {Hook::bpf_fentry_test5, {11, 12, 13, 14, 15}, 65},
    {Hook::bpf_fentry_test6, {16, 17, 18, 19, 20, 21}, 111},
    {Hook::bpf_fentry_test7, {}, 0},
};

void pass(Occasion& occasion, Hook hook, std::span<const u64> with, s64 result) {
  occasion
      .enter(hook,
             [&](Arguments& a) {
               for (u32 n = 0; n < with.size(); ++n) a[n] = with[n];
             })
      .leave(result);
}

}  // namespace

void pass_fentry_tests(Occasion& occasion) {
  for (const TestFunction& test : kTests) pass(occasion, test.hook, test.arguments, test.result);
  const u64 argument[] = {occasion.place(u64{0})};  // a struct bpf_fentry_test_t
  pass(occasion, Hook::bpf_fentry_test8, argument, 0);
}

void pass_modify_return_test(Occasion& occasion) {
  constexpr s32 kSecond = 2;
  const u64 arguments[] = {1, occasion.place(kSecond)};
  pass(occasion, Hook::bpf_modify_return_test, arguments, 1 + kSecond + 1);
}

u16 pass_link_header(Occasion& occasion, const RunSkb& skb, u64 device, const std::function<u16()>& take) {
  ObjectSpace& space = occasion.services().objects;
  const Passing passing = occasion.enter(Hook::eth_type_trans, [&](Arguments& a) {
    a[0] = shown_packet(space, skb);
    a[1] = device;
  });
  const u16 protocol = take();
  if (occasion.awaited(Hook::eth_type_trans)) shown_packet(space, skb);
  passing.leave(protocol);
  return protocol;
}

void pass_freed_packet(Occasion& occasion, const RunSkb& skb) {
  if (!occasion.awaited(Hook::trace_kfree_skb)) return;
  const u64 at = shown_packet(occasion.services().objects, skb);
  const u64 place = occasion.services().kernel.symbols().address("bpf_prog_test_run_skb") + kFreedAt;
  occasion.trace(
      Hook::trace_kfree_skb,
      [&](Arguments& a) {
        a[0] = at;
        a[1] = place;
        a[2] = kNotSpecified;
      },
      [&](Record& r) {
        r.set("skbaddr", at);
        r.set("location", place);
        r.set("protocol", u32{__builtin_bswap16(static_cast<u16>(skb.protocol))});
        r.set("reason", kNotSpecified);
      });
}

s32 pass_test_finish(Occasion& occasion, s32 result) {
  if (!occasion.awaited(Hook::trace_bpf_test_finish)) return result;
  const u64 at = occasion.place(result);
  if (!at) return result;
  occasion.trace(
      Hook::trace_bpf_test_finish, [&](Arguments& a) { a[0] = at; }, [&](Record& r) { r.set("err", result); });
  return load<s32>(reinterpret_cast<const void*>(at));
}

}  // namespace bpfemu
