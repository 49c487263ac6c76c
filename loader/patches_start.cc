// SPDX-License-Identifier: Apache-2.0
// Sites that are patched before a program begins: what that takes, the program does by itself (start_code.h).
#include <algorithm>

#include "loader/call_stub.h"
#include "loader/patches.h"
#include "loader/start_code.h"
#include "loader/stub_area.h"

namespace bpfemu {

namespace {

u64 up_to_hop(u64 address) {
  return (address + kHopSize - 1) & ~(kHopSize - 1);
}

}  // namespace

std::vector<Patches::FirstSite> Patches::first_sites(SpaceMemory& memory, const FirstText& first,
                                                     const FirstCalls& calls) {
  std::vector<FirstSite> found;
  for (const auto& [offset, number] : calls) {
    const u64 address = first.address_of(offset);
    SiteBytes bytes;
    if (!first.contains(address) || memory.read(address, bytes.data(), bytes.size()) != bytes.size()) continue;
    const std::optional<CallSite> call = call_site(bytes, number);
    if (call && path_shape(number) && in_one_line(address)) found.push_back({address, *call});
  }
  return found;
}

std::optional<u64> Patches::begin(Task& task, SpaceMemory& memory, const FirstText& first,
                                  const FirstCalls& calls, const PathTable& table) {
  const u64 hops = up_to_hop(first.spare), end = first.spare + first.room;
  if (is_limited(task.tgid()) || hops + kMostStartCode > end) return std::nullopt;
  std::vector<FirstSite> chosen = first_sites(memory, first, calls);
  chosen.resize(std::min<size_t>(chosen.size(), (end - hops - kMostStartCode) / (kHopSize + kStubSize)));

  std::vector<u8> image(chosen.size() * kHopSize), stubs(chosen.size() * kStubSize);
  std::map<u64, Site> sites;
  for (size_t i = 0; i < chosen.size(); ++i) {
    const auto& [address, call] = chosen[i];
    const u64 at = kStubArea + i * kStubSize;
    const Stub stub = build_stub(*path_shape(call.number), call, address);
    std::ranges::copy(labelled(stub, call, address), &stubs[i * kStubSize]);
    std::ranges::copy(build_hop(at), &image[i * kHopSize]);
    sites[address] = {call, at, stub.decides, stub.done, hops + i * kHopSize, true};
  }
  const u64 at = hops + image.size();
  const PtRegs regs = task.regs();
  const BuiltStart start = build_start({at, kStubAreaSize, stubs, table.key()}, regs);
  image.insert(image.end(), start.code.begin(), start.code.end());
  if (hops + image.size() > end || !jump_to(at, regs.rip)) return std::nullopt;
  if (!memory.write(hops, image.data(), image.size())) return std::nullopt;

  spare_ = first.spare, spare_size_ = first.room;
  start_ = Start{at, start.code.size(), at + start.failed, regs};
  mapped_ = true;
  stubs_ = static_cast<u32>(chosen.size());
  const auto to_hops = [](u64 size) { return static_cast<u32>(up_to_hop(size) / kHopSize); };
  hop_pages_.push_back({hops, to_hops(image.size()), static_cast<u32>((end - hops) / kHopSize)});
  sites_ = std::move(sites);
  for (auto& [address, site] : sites_) {
    hops_[site.hop] = address;
    const std::optional<JumpBytes> jump = jump_to(address, site.hop);
    site.placed = jump && memory.write(address, jump->data(), jump->size());
  }
  task.regs().rip = at;
  return stubs_;
}

bool Patches::leave_start(SpaceMemory& memory, PtRegs& regs) {
  if (!start_ || regs.rip - start_->at >= start_->size) return false;
  start_failed_ = regs.rip == start_->failed;
  const u64 call = regs.orig_rax;
  regs = start_->regs;
  regs.orig_rax = call;
  start_.reset();
  release_all(memory);
  return true;
}

}  // namespace bpfemu
