// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/stacks.h"

#include <sys/syscall.h>

#include <algorithm>
#include <charconv>

#include "emu/kernel/symbols.h"

namespace bpfemu {

namespace {

constexpr long kEvery = -1;

// "symbol+offset symbol+offset ...": none when a symbol is unknown, for no part of a stack is better than a wrong one.
std::vector<u64> addresses(const Symbols& symbols, std::string_view frames) {
  std::vector<u64> ips;
  while (!frames.empty()) {
    size_t end = std::min(frames.find(' '), frames.size()), plus = frames.find('+');
    u64 offset = 0, start = symbols.address(frames.substr(0, plus));
    std::from_chars(frames.data() + plus + 1, frames.data() + end, offset);
    if (start == 0) return {};
    ips.push_back(start + offset);
    frames.remove_prefix(std::min(end + 1, frames.size()));
  }
  return ips;
}

}  // namespace

KernelStacks::KernelStacks(const Symbols& symbols) {
#define KERNEL_FRAMES(part, of, frames, next) \
  rows_.push_back({StackPart::part, of, StackPart::next, addresses(symbols, frames)});
#include "emu/abi/kernel_stacks.inc"
#undef KERNEL_FRAMES
}

const KernelStacks::Row* KernelStacks::find(StackPart part, long call) const {
  const auto of = [&](long wanted) {
    return std::ranges::find_if(rows_, [&](const Row& r) { return r.part == part && r.call == wanted; });
  };
  auto row = of(call);
  if (row == rows_.end() && call > kAnyCall) row = of(call | kAnyCall);
  if (row == rows_.end() && call > kAnyCall) row = of(call & kAnyCall);
  if (row == rows_.end()) row = of(kEvery);
  return row == rows_.end() || row->ips.empty() ? nullptr : &*row;
}

bool KernelStacks::append(StackPart part, long call, KernelFrames& frames) const {
  for (; part != StackPart::kBottom;) {
    const Row* row = find(part, call);
    if (!row) return false;
    for (u64 ip : row->ips) frames.push(ip);
    part = row->next;
  }
  return true;
}

}  // namespace bpfemu
