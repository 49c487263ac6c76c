// SPDX-License-Identifier: Apache-2.0
#include "loader/patches.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <algorithm>

#include "loader/call_stub.h"
#include "loader/slots.h"
#include "loader/stub_area.h"
#include "loader/text_write.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr size_t kRemembered = 4096;

bool is_text(const std::vector<MapsLine>& mappings, u64 from, u64 to) {
  return std::ranges::any_of(mappings, [&](const MapsLine& m) {
    return m.execute && !m.write && !m.shared && m.file.ino != 0 && from >= m.start && to <= m.end;
  });
}

}  // namespace

// A process that may have so much memory and no more keeps all of it.
bool Patches::is_limited(pid_t tgid) {
  rlimit limit;
  return ::prlimit(tgid, RLIMIT_AS, nullptr, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

bool Patches::counts(const MadeCall& made, u32 hot) {
  const u64 resume = made.resume, call = resume - kCallSize;
  if (unavailable_ || sites_.contains(resume - kSiteSize)) return false;
  if (short_sites_.contains(call)) {
    const PathShape* const shape = path_shape(made.number);
    if (!shape || !shape->inside || short_sites_.goes_inside(call)) return false;
  } else if (refused_.contains(resume)) {
    return false;
  }
  if (stops_.size() >= kRemembered) stops_.clear();
  u32& stops = stops_[resume];
  if (++stops < hot) return false;
  stops = 0;
  return true;
}

bool Patches::has_area(Task& task, const PathTable& table) {
  if (!mapped_ && (is_limited(task.tgid()) || !map_area(task, table))) unavailable_ = true;
  return !unavailable_;
}

PatchResult Patches::place(Task& task, SpaceMemory& memory, const std::vector<MapsLine>& mappings,
                           const MadeCall& made, const DecisionData& data) {
  const u64 resume = made.resume, address = resume - kSiteSize;
  if (short_sites_.contains(resume - kCallSize)) return let_inside(task, memory, resume - kCallSize, data);
  refuse(resume);  // until it is patched
  SiteBytes bytes;
  const Result<size_t> read = memory.read(address, bytes.data(), bytes.size());
  if (!read || *read != bytes.size()) return PatchResult::kNotText;
  const std::optional<CallSite> call = call_site(bytes, made.number);
  const PathShape* const listed = path_shape(made.number);
  const PathShape shape = listed ? *listed : told_shape(made.number);
  if (!is_text(mappings, address, resume) || (call && !in_one_line(address))) return PatchResult::kNotText;
  if (!has_area(task, data.table)) return PatchResult::kNoRoom;
  if (!call && shape.tells) return PatchResult::kOtherForm;
  if (!call) return place_short(task, memory, mappings, resume - kCallSize);
  if (stubs_ == kMostStubs) return PatchResult::kNoRoom;
  if ((shape.inside || shape.tells) && !inside_.map(task, memory, data.inside)) return PatchResult::kNoRoom;
  const u64 at = kStubArea + stubs_++ * kStubSize;
  const Stub stub = build_stub(shape, *call, address, at);
  const std::vector<u8> image = labelled(stub, *call, address);
  if (!memory.write(at, image.data(), image.size())) return PatchResult::kNoRoom;
  const Result<u64> hop = near_code(task, memory, address, build_hop(at));
  const std::optional<JumpBytes> jump = hop ? jump_to(address, *hop) : std::nullopt;
  if (!jump) return PatchResult::kNoRoom;
  // Known before the first thread runs into it.
  Site& site = sites_[address] = {*call, at, stub.decides, stub.done, *hop, true, shape.tells};
  hops_[*hop] = address;
  if (!write_text(memory, address, *jump)) return site.placed = false, PatchResult::kNotText;
  return PatchResult::kPatched;
}

PatchResult Patches::place_short(Task& task, SpaceMemory& memory, const std::vector<MapsLine>& mappings, u64 call) {
  const auto text = std::ranges::find_if(mappings, [&](const MapsLine& m) { return call - m.start < m.end - m.start; });
  if (text == mappings.end()) return PatchResult::kNotText;
  const Result<void> placed =
      short_sites_.place(memory, call, text->start, text->end, [&](u64 near, std::span<const u8> code) {
        return near_code(task, memory, near, code);
      });
  if (placed) return PatchResult::kPatched;
  return placed.error().value == ENOENT ? PatchResult::kOtherForm : PatchResult::kNoRoom;
}

PatchResult Patches::let_inside(Task& task, SpaceMemory& memory, u64 call, const DecisionData& data) {
  const bool inside = inside_.map(task, memory, data.inside) && short_sites_.let_inside(memory, call);
  return inside ? PatchResult::kPatched : PatchResult::kNoRoom;
}

Result<void> Patches::map_area(Task& task, const PathTable& table) {
  constexpr u64 flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  TRY(task.call(SYS_mmap, {kStubArea, kStubAreaSize, PROT_READ | PROT_EXEC, flags, ~u64{0}, 0}));
  const Result<u64> mapped = task.call(SYS_shmat, {static_cast<u64>(table.key()), kTableAddress, SHM_RDONLY});
  if (!mapped) return (void)task.call(SYS_munmap, {kStubArea, kStubAreaSize}), fail(mapped.error().value);
  mapped_ = true;
  return {};
}

// In a piece of the size of a hop.
Result<u64> Patches::near_code(Task& task, SpaceMemory& memory, u64 near, std::span<const u8> code) {
  auto page = std::ranges::find_if(
      hop_pages_, [&](const HopPage& p) { return p.used < p.room && is_near(p.start, near); });
  if (page == hop_pages_.end()) {
    const u64 start = TRY(map_code_page(task, memory, near));
    page = hop_pages_.insert(hop_pages_.end(), {start, 0, kPage / kHopSize});
  }
  const u64 hop = page->start + page->used++ * kHopSize;
  TRY(memory.write(hop, code.data(), code.size()));
  return hop;
}

// Nothing of ours stands there when the mapping is gone, or the program has written it anew.
void Patches::put_back(SpaceMemory& memory, u64 address, Site& site) {
  JumpBytes bytes;
  const std::optional<JumpBytes> jump = jump_to(address, site.hop);
  if (std::exchange(site.placed, false) && memory.read(address, bytes.data(), bytes.size()) && bytes == *jump)
    (void)write_text(memory, address, site.call.start);
}

void Patches::release(SpaceMemory& memory, u64 address) {
  short_sites_.release(memory, address);
  auto it = sites_.upper_bound(address);
  if (it == sites_.begin()) return;
  --it;
  if (address - it->first < kSiteSize) put_back(memory, it->first, it->second);
}

void Patches::release_all(SpaceMemory& memory) {
  unavailable_ = true;
  for (auto& [address, site] : sites_) put_back(memory, address, site);
  short_sites_.release_all(memory);
}

// The site whose stub or hop it is.
std::map<u64, Patches::Site>::const_iterator Patches::site_of(u64 rip) const {
  if (in_stub_area(rip))
    return std::ranges::find_if(sites_, [&](const auto& entry) { return rip - entry.second.stub < kStubSize; });
  const auto hop = hops_.upper_bound(rip);
  if (hop == hops_.begin() || rip - std::prev(hop)->first >= kHopSize) return sites_.end();
  return sites_.find(std::prev(hop)->second);
}

StubSide Patches::leave(SpaceMemory& memory, PtRegs& regs) const {
  if (const std::optional<StubSide> side = inside_.leave(memory, regs)) {
    if (*side != StubSide::kRunning) (void)short_sites_.leave(regs);
    return *side;
  }
  if (const std::optional<StubSide> side = short_sites_.leave(regs)) return *side;
  const auto found = site_of(regs.rip);
  if (found == sites_.end()) return StubSide::kOutside;
  const auto& [address, site] = *found;
  const u64 offset = in_stub_area(regs.rip) ? regs.rip - site.stub : 0;
  if (offset >= site.done) {
    regs.rcx = regs.rip = address + kSiteSize;  // as the kernel leaves it
    return StubSide::kAfter;
  }
  if (offset == 0) {  // the instruction of the site is still to be run
    regs.rip = address;
    return StubSide::kOutside;
  }
  regs.rip = address + kJumpSize;
  if (offset >= site.decides) regs.rax = site.call.number;
  return site.tells && offset == site.done - kCallSize ? StubSide::kTold : StubSide::kBefore;
}

bool Patches::was_patching(SpaceMemory& memory, u64 address) {
  u8 byte = kInt3;
  return (sites_.contains(address) || short_sites_.contains(address)) && memory.read(address, &byte, 1) && byte != kInt3;
}

void Patches::mask(u64 address, void* bytes, size_t size) const {
  u8* const out = static_cast<u8*>(bytes);
  short_sites_.mask(address, {out, size});
  const u64 first = std::max(spare_, address), last = std::min(spare_ + spare_size_, address + size);
  if (first < last) std::fill(out + (first - address), out + (last - address), u8{0});
  for (auto it = sites_.lower_bound(address - std::min(address, kJumpSize)); it != sites_.end(); ++it) {
    if (it->first >= address + size) break;
    if (!it->second.placed) continue;
    const u64 from = std::max(it->first, address), to = std::min(it->first + kJumpSize, address + size);
    if (from >= to) continue;
    const JumpBytes jump = *jump_to(it->first, it->second.hop), own = it->second.call.start;
    const u64 skipped = from - it->first;
    // The program may have other text there by now.
    if (std::equal(out + (from - address), out + (to - address), &jump[skipped]))
      std::copy_n(&own[skipped], to - from, out + (from - address));
  }
}

// Stubs are handed out in order. A site that is not what it was patched to be, or in the middle of that, is the
// program's.
void Patches::disown(SpaceMemory& memory) {
  if (short_sites_.disown(memory)) unavailable_ = true;
  StubLabel label;
  for (u64 at = kStubArea; at < kShortStubArea; at += kStubSize) {
    if (!memory.read(at + kStubCode, &label, sizeof label) || label.site == 0) return;
    unavailable_ = true;
    JumpBytes bytes;
    if (!memory.read(label.site, bytes.data(), bytes.size())) continue;
    std::vector<u8> hop = build_hop(at), there(hop.size());
    const u64 target = jump_target(label.site, bytes);
    const bool jumps = target != 0 && memory.read(target, there.data(), there.size()) && there == hop;
    if (jumps || bytes[0] == kInt3) (void)write_text(memory, label.site, label.start);
  }
}

void Patches::settle_fork(SpaceMemory& memory) {
  u8 byte = 0;
  for (auto it = sites_.begin(); it != sites_.end();) {
    auto& [address, site] = *it++;
    const std::optional<JumpBytes> jump = jump_to(address, site.hop);
    JumpBytes bytes;
    if (!memory.read(address, bytes.data(), bytes.size())) continue;
    if (site.placed && bytes == *jump) continue;
    if (bytes == *jump || (bytes[0] == kInt3 && site.placed)) (void)write_text(memory, address, site.call.start);
    site.placed = false;
  }
  std::erase_if(hop_pages_, [&](const HopPage& page) { return !memory.read(page.start, &byte, 1); });
  short_sites_.settle_fork(memory);
  inside_.settle_fork(memory);
  if (mapped_ && (!memory.read(kStubArea, &byte, 1) || !memory.read(kTableAddress, &byte, 1))) unavailable_ = true;
}

}  // namespace bpfemu
