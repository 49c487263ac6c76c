// SPDX-License-Identifier: Apache-2.0
// Sites that are patched before a program begins: what that takes, the program does by itself (start_code.h).
#include <algorithm>

#include "loader/call_stub.h"
#include "loader/patches.h"
#include "loader/start_code.h"
#include "loader/stub_area.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;

u64 up_to_hop(u64 address) {
  return (address + kHopSize - 1) & ~(kHopSize - 1);
}

struct FirstSite {
  u64 address;
  CallSite call;
};

// The text from the first site in a page to its last, which is read and written in one piece.
struct Span {
  u64 start;
  std::vector<u8> bytes;

  void write(u64 address, const JumpBytes& jump) { std::ranges::copy(jump, &bytes[address - start]); }
};

// The one that has the site, null: none.
Span* span_of(std::vector<Span>& spans, u64 site) {
  const auto found = std::ranges::find_if(
      spans, [=](const Span& s) { return site >= s.start && site + kSiteSize <= s.start + s.bytes.size(); });
  return found == spans.end() ? nullptr : &*found;
}

std::vector<Span> spans_of(const FirstText& first, const FirstCalls& calls) {
  std::vector<Span> spans;
  for (const auto& [offset, number] : calls) {
    const u64 address = first.start + offset;
    if (!first.contains(address + kSiteSize - 1)) break;
    if (spans.empty() || spans.back().start / kPage != address / kPage) spans.push_back({address, {}});
    spans.back().bytes.resize(address + kSiteSize - spans.back().start);
  }
  return spans;
}

// Reads them, and looks whether nobody has the bytes of `first` that are to be spare.
bool read_spans(SpaceMemory& memory, const FirstText& first, std::vector<Span>& spans) {
  std::vector<u8> spare(first.room);
  std::vector<MemoryPiece> pieces = {{first.spare, spare.data(), spare.size()}};
  for (Span& span : spans) pieces.push_back({span.start, span.bytes.data(), span.bytes.size()});
  return memory.read(pieces) && std::ranges::all_of(spare, [](u8 byte) { return byte == 0; });
}

std::vector<FirstSite> sites_in(std::vector<Span>& spans, const FirstText& first, const FirstCalls& calls) {
  std::vector<FirstSite> found;
  for (const auto& [offset, number] : calls) {
    const u64 address = first.start + offset;
    const Span* const span = span_of(spans, address);
    if (!span) break;
    SiteBytes bytes;
    std::copy_n(&span->bytes[address - span->start], bytes.size(), bytes.begin());
    const std::optional<CallSite> call = call_site(bytes, number);
    if (call && path_shape(number) && in_one_line(address)) found.push_back({address, *call});
  }
  return found;
}

}  // namespace

std::optional<u64> Patches::begin(Task& task, SpaceMemory& memory, const FirstText& first,
                                  const FirstCalls& calls, const PathTable& table) {
  const u64 hops = up_to_hop(first.spare), end = first.spare + first.room;
  if (is_limited(task.tgid()) || hops + kMostStartCode > end) return std::nullopt;
  std::vector<Span> spans = spans_of(first, calls);
  if (!read_spans(memory, first, spans)) return std::nullopt;
  std::vector<FirstSite> chosen = sites_in(spans, first, calls);
  chosen.resize(std::min<size_t>(chosen.size(), (end - hops - kMostStartCode) / (kHopSize + kStubSize)));

  std::vector<u8> image(chosen.size() * kHopSize), stubs(chosen.size() * kStubSize);
  std::map<u64, Site> sites;
  for (size_t i = 0; i < chosen.size(); ++i) {
    const auto& [address, call] = chosen[i];
    const u64 at = kStubArea + i * kStubSize;
    const Stub stub = build_stub(*path_shape(call.number), call, address, at);
    std::ranges::copy(labelled(stub, call, address), &stubs[i * kStubSize]);
    std::ranges::copy(build_hop(at), &image[i * kHopSize]);
    sites[address] = {call, at, stub.decides, stub.done, hops + i * kHopSize, true, false};
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
    site.placed = jump.has_value();
    if (jump) span_of(spans, address)->write(address, *jump);
  }
  for (const Span& span : spans) (void)memory.write(span.start, span.bytes.data(), span.bytes.size());
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
