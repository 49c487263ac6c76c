// SPDX-License-Identifier: Apache-2.0
#include "loader/short_sites.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "emu/base/bytes.h"
#include "loader/call_site.h"
#include "loader/call_stub.h"
#include "loader/stub_area.h"
#include "loader/text_write.h"

namespace bpfemu {

namespace {

constexpr u64 kReach = 127, kFunctionAlign = 16;
constexpr std::array<u8, 5> kCall = {0x0f, 0x05}, kFilling = {0xcc, 0xcc, 0xcc, 0xcc, 0xcc};
constexpr u8 kShortJump = 0xeb;

// The five bytes of filling before an aligned function that are next to the call. ENOENT.
Result<u64> find_filling(SpaceMemory& memory, u64 call, u64 from, u64 to) {
  const u64 first = std::max(from, call + kCallSize - kReach), last = std::min(to, call + kCallSize + kReach);
  std::vector<u8> bytes(last - first);
  if (TRY(memory.read(first, bytes.data(), bytes.size())) != bytes.size()) return fail(ENOENT);
  std::optional<u64> best;
  for (u64 end = round_up(first + kFilling.size(), kFunctionAlign); end <= last; end += kFunctionAlign) {
    const u64 at = end - kFilling.size();
    if (!std::equal(kFilling.begin(), kFilling.end(), &bytes[at - first])) continue;
    const auto distance = [&](u64 address) { return address > call ? address - call : call - address; };
    if (!best || distance(at) < distance(*best)) best = at;
  }
  return best ? Result<u64>(*best) : fail(ENOENT);
}

u64 stub_at(u64 number) {
  return kShortStubArea + number * kShortStubSize;
}

}  // namespace

std::array<ShortSites::Piece, 2> ShortSites::pieces(u64 call, const Site& site) {
  const std::optional<JumpBytes> jump = jump_to(site.filling, site.hop);
  const u8 distance = static_cast<u8>(site.filling - call - kCallSize);
  return {Piece{call, kCall, {kShortJump, distance}, kCallSize}, Piece{site.filling, kFilling, *jump, kFilling.size()}};
}

Result<void> ShortSites::place(SpaceMemory& memory, u64 call, u64 from, u64 to, const NearCode& near_code) {
  std::array<u8, kCallSize> bytes;
  if (TRY(memory.read(call, bytes.data(), bytes.size())) != bytes.size()) return fail(ENOENT);
  if (!std::equal(bytes.begin(), bytes.end(), kCall.begin()) || !in_one_line(call)) return fail(ENOENT);
  const u64 filling = TRY(find_filling(memory, call, from, to));
  Site site{filling, 0, 0, {}, true};
  // syscall; jmp behind the site's.
  std::vector<u8> asking(kCall.begin(), kCall.begin() + kCallSize);
  asking.resize(kCallSize + sizeof(JumpBytes), 0xcc);
  site.asks = TRY(near_code(call, asking));
  const std::optional<JumpBytes> back = jump_to(site.asks + kCallSize, call + kCallSize);
  if (!back) return fail(ENOSPC);
  TRY(memory.write(site.asks + kCallSize, back->data(), back->size()));
  site.hop = TRY(near_code(call, build_hop(TRY(write_stub(memory, call, site, false)))));
  if (!jump_to(filling, site.hop)) return fail(ENOSPC);
  // Known before the first thread runs into it.
  Site& known = sites_[call] = std::move(site);
  const auto [at_call, at_filling] = pieces(call, known);
  Result<void> written = memory.write(at_filling.at, at_filling.ours.data(), at_filling.size);
  if (written) written = write_text(memory, call, {at_call.ours.data(), at_call.size});
  if (!written) known.placed = false;
  return written;
}

Result<u64> ShortSites::write_stub(SpaceMemory& memory, u64 call, Site& site, bool image) {
  if (stubs_ == kMostShortStubs) return fail(ENOSPC);
  const u64 at = stub_at(stubs_++);
  ShortStub stub = build_short_stub(call + kCallSize, site.asks, image);
  std::vector<u8> bytes = stub.code;
  bytes.resize(kShortStubSize);
  const ShortLabel label{call, site.filling};
  std::memcpy(&bytes[kShortStubSize - sizeof label], &label, sizeof label);
  TRY(memory.write(at, bytes.data(), bytes.size()));
  site.stubs.push_back({at, std::move(stub)});
  return at;
}

// The hops to any two stubs differ in one byte.
Result<void> ShortSites::let_inside(SpaceMemory& memory, u64 call) {
  Site& site = sites_.at(call);
  const std::vector<u8> before = build_hop(site.stubs.back().at);
  const std::vector<u8> hop = build_hop(TRY(write_stub(memory, call, site, true)));
  const auto [changed, was] = std::ranges::mismatch(hop, before);
  static_assert(kShortStubArea % 0x10000 == 0 && kMostShortStubs * kShortStubSize <= 0x10000);
  return memory.write(site.hop + static_cast<u64>(changed - hop.begin()), &*changed, 1);
}

const ShortSites::PlacedStub* ShortSites::stub_of(const Site& site, u64 rip) {
  const auto found = std::ranges::find_if(site.stubs, [&](const PlacedStub& s) { return rip - s.at < kShortStubSize; });
  return found == site.stubs.end() ? nullptr : &*found;
}

std::optional<StubSide> ShortSites::leave(PtRegs& regs) const {
  for (const auto& [call, site] : sites_) {
    const auto goes_to = [&](u64 rip, StubSide side) { return regs.rip = rip, side; };
    if (regs.rip == site.asks + kCallSize) return goes_to(call + kCallSize, StubSide::kOutside);
    const bool on_the_way = regs.rip == site.filling || regs.rip - site.hop < kHopSize || regs.rip == site.asks;
    if (on_the_way) return goes_to(call, StubSide::kBefore);
    const PlacedStub* const placed = stub_of(site, regs.rip);
    if (!placed) continue;
    const u64 offset = regs.rip - placed->at;
    const std::vector<ShortStub::Part>& parts = placed->stub.parts;
    const auto part =
        std::ranges::find_if(parts, [&](const ShortStub::Part& p) { return offset >= p.begin && offset < p.end; });
    if (part == parts.end()) return goes_to(call, StubSide::kBefore);
    if (offset >= part->done) return regs.rcx = call + kCallSize, goes_to(call + kCallSize, StubSide::kAfter);
    regs.rax = part->number;
    return goes_to(call, StubSide::kBefore);
  }
  return std::nullopt;
}

std::optional<u64> ShortSites::asks(u64 call) const {
  const auto it = sites_.find(call);
  return it == sites_.end() ? std::nullopt : std::optional(it->second.asks);
}

bool ShortSites::stands(SpaceMemory& memory, u64 call, const Site& site) {
  for (const Piece& piece : pieces(call, site)) {
    std::array<u8, 5> bytes;
    if (!memory.read(piece.at, bytes.data(), piece.size) ||
        !std::equal(bytes.begin(), bytes.begin() + static_cast<long>(piece.size), piece.ours.begin()))
      return false;
  }
  return true;
}

// Threads that are on their way go on there, so the filling stays as it is, which nobody else comes to.
void ShortSites::put_back(SpaceMemory& memory, u64 call, Site& site) {
  if (std::exchange(site.placed, false) && stands(memory, call, site))
    (void)write_text(memory, call, {kCall.data(), kCallSize});
}

void ShortSites::release(SpaceMemory& memory, u64 address) {
  for (auto& [call, site] : sites_)
    for (const Piece& piece : pieces(call, site))
      if (address - piece.at < piece.size) put_back(memory, call, site);
}

void ShortSites::release_all(SpaceMemory& memory) {
  for (auto& [call, site] : sites_) put_back(memory, call, site);
}

void ShortSites::mask(u64 address, std::span<u8> bytes) const {
  for (const auto& [call, site] : sites_)
    for (const Piece& piece : pieces(call, site)) {
      const u64 from = std::max(piece.at, address), to = std::min(piece.at + piece.size, address + bytes.size());
      if (from >= to) continue;
      u8* const there = &bytes[from - address];
      const u64 skipped = from - piece.at;
      // The program may have other text there by now.
      if (std::equal(there, there + (to - from), &piece.ours[skipped]))
        std::copy_n(&piece.own[skipped], to - from, there);
    }
}

// As Patches::disown().
bool ShortSites::disown(SpaceMemory& memory) {
  ShortLabel label;
  for (u64 i = 0; i < kMostShortStubs; ++i) {
    if (!memory.read(stub_at(i) + kShortStubSize - sizeof label, &label, sizeof label) || label.call == 0) return i > 0;
    std::array<u8, kCallSize> there;
    const u8 distance = static_cast<u8>(label.filling - label.call - kCallSize);
    if (!memory.read(label.call, there.data(), there.size())) continue;
    if (there[0] == kFilling[0] || (there[0] == kShortJump && there[1] == distance))
      (void)write_text(memory, label.call, {kCall.data(), kCallSize});
  }
  return true;
}

void ShortSites::settle_fork(SpaceMemory& memory) {
  for (auto& [call, site] : sites_) {
    std::array<u8, kCallSize> there;
    if (!memory.read(call, there.data(), there.size())) continue;
    const bool stands_whole = site.placed && stands(memory, call, site);
    if (stands_whole) continue;
    if (there[0] == kShortJump || (there[0] == kFilling[0] && site.placed))
      (void)write_text(memory, call, {kCall.data(), kCallSize});
    site.placed = false;
  }
}

}  // namespace bpfemu
