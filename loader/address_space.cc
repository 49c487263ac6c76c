// SPDX-License-Identifier: Apache-2.0
#include "loader/address_space.h"

#include <algorithm>

#include "loader/stub_area.h"

namespace bpfemu {

namespace {

constexpr size_t kRemembered = 4096;

bool covers(const MapsLine& m, const UserPlace& place, u64 offset) {
  return m.file == place.file && offset >= m.offset && offset - m.offset < m.end - m.start;
}

}  // namespace

std::shared_ptr<AddressSpace> AddressSpace::fork_copy(pid_t child) const {
  auto copy = std::make_shared<AddressSpace>(files_, child);
  copy->mappings_ = mappings_;
  copy->breakpoints_ = breakpoints_;
  copy->slots_ = slots_;
  copy->patches_ = patches_;
  copy->first_ = first_;
  // Where there are others, one of them may have stopped, and its site been patched, while this one forked.
  if (patches_.any() && memory_.threads().size() > 1) copy->patches_.settle_fork(copy->memory_);
  if (!breakpoints_.empty() || !removed_.empty()) copy->settle_fork(*this);
  return copy;
}

// Between the copying of the memory and the report of the fork, breakpoints may have come and gone in the parent.
void AddressSpace::settle_fork(const AddressSpace& parent) {
  slots_.settle_fork(memory_);
  for (auto& [address, breakpoint] : breakpoints_) {
    if (!slots_.has(breakpoint.slot)) breakpoint.slot = 0;
    if (!slots_.has(breakpoint.touch)) breakpoint.touch = 0;
  }
  u8 byte = 0;
  for (const auto& [address, original] : parent.removed_)
    if (!breakpoints_.contains(address) && memory_.read(address, &byte, 1) && byte == kInt3)
      (void)memory_.write(address, &original, 1);
  for (const auto& [address, breakpoint] : breakpoints_)
    if (memory_.read(address, &byte, 1) && byte == breakpoint.original()) (void)memory_.write(address, &kInt3, 1);
}

Result<void> AddressSpace::refresh() {
  std::vector<MapsLine> lines = TRY(memory_.maps());
  std::erase_if(lines, [](const MapsLine& m) { return m.file.ino == 0 || m.shared || !(m.execute || m.write); });
  mappings_ = std::move(lines);
  for (auto it = breakpoints_.begin(); it != breakpoints_.end();) {
    const bool there = std::any_of(mappings_.begin(), mappings_.end(), [&](const MapsLine& m) {
      return m.execute && it->first >= m.start && it->first < m.end;
    });
    const auto next = std::next(it);
    if (!there) forget(it);
    it = next;
  }
  return {};
}

std::vector<u64> AddressSpace::places_of(const UserPlace& place) const {
  std::vector<u64> found;
  for (const MapsLine& m : mappings_)
    if (m.execute && !m.write && covers(m, place, place.offset)) found.push_back(m.start + (place.offset - m.offset));
  return found;
}

void AddressSpace::forget(std::map<u64, Breakpoint>::iterator it) {
  slots_.give_back(it->second.slot);
  slots_.give_back(it->second.touch);
  breakpoints_.erase(it);
}

Result<void> AddressSpace::insert(u64 address, Sites::Id id, const Site& site) {
  Breakpoint point{.site = id, .plan = {}, .bytes = {}};
  patches_.release(memory_, address);
  const size_t size = TRY(memory_.read(address, point.bytes.data(), kMaxInsnLength));
  const bool patched = point.bytes[0] == kInt3;
  const auto old = breakpoints_.find(address);
  if (old != breakpoints_.end()) {
    if (patched || point.bytes[0] != old->second.original()) return {};
    forget(old);  // the page was mapped anew
  }
  if (patched) {
    // mremap took the page, and our int3 in it, to here: the file knows what is under it.
    if (site.place.code.empty()) return fail(ENOTSUP);
    std::copy_n(site.place.code.begin(), std::min(site.place.code.size(), point.bytes.size()), point.bytes.begin());
  }
  mask(address, point.bytes.data(), size);
  point.plan = TRY(plan_step({point.bytes.data(), size}));
  if (!patched) {
    TRY(memory_.write(address, &kInt3, 1));
    if (site.place.ref_ctr_offset != 0 && !count(site.place, 1)) awaiting_.insert(id);
  }
  removed_.erase(address);
  breakpoints_.emplace(address, point);
  return {};
}

void AddressSpace::remove(Sites::Id id, const Site& site) {
  awaiting_.erase(id);
  if (site.place.ref_ctr_offset != 0) (void)refresh();
  for (auto it = breakpoints_.begin(); it != breakpoints_.end();) {
    const auto next = std::next(it);
    if (it->second.site == id) {
      const u8 original = it->second.original();
      // Nothing of ours stands there when the process or the mapping is gone, or its code was written anew.
      u8 byte = 0;
      if (memory_.read(it->first, &byte, 1) && byte == kInt3) {
        if (site.place.ref_ctr_offset != 0) (void)count(site.place, -1);
        (void)memory_.write(it->first, &original, 1);
      }
      if (removed_.size() >= kRemembered) removed_.clear();
      removed_[it->first] = original;
      forget(it);
    }
    it = next;
  }
}

bool AddressSpace::has(Sites::Id id) const {
  return std::any_of(breakpoints_.begin(), breakpoints_.end(),
                     [&](const auto& entry) { return entry.second.site == id; });
}

Breakpoint* AddressSpace::find(u64 address) {
  const auto it = breakpoints_.find(address);
  return it == breakpoints_.end() ? nullptr : &it->second;
}

bool AddressSpace::removed_lately(u64 address) {
  if (!removed_.contains(address)) return false;
  u8 byte = kInt3;
  return memory_.read(address, &byte, 1) && byte != kInt3;
}

bool AddressSpace::count(const UserPlace& place, int step) {
  for (const MapsLine& m : mappings_) {
    if (!m.write || !covers(m, place, place.ref_ctr_offset)) continue;
    const u64 address = m.start + (place.ref_ctr_offset - m.offset);
    s16 counter = 0;
    if (!memory_.read(address, &counter, sizeof counter) || counter + step < 0) return true;
    counter = static_cast<s16>(counter + step);
    (void)memory_.write(address, &counter, sizeof counter);
    return true;
  }
  return false;
}

void AddressSpace::count_awaited(const std::map<Sites::Id, Site>& sites) {
  std::erase_if(awaiting_, [&](Sites::Id id) {
    const auto site = sites.find(id);
    return site == sites.end() || count(site->second.place, 1);
  });
}

void AddressSpace::mask(u64 address, void* bytes, size_t size) const {
  u8* const out = static_cast<u8*>(bytes);
  for (auto it = breakpoints_.lower_bound(address); it != breakpoints_.end() && it->first - address < size; ++it)
    if (out[it->first - address] == kInt3) out[it->first - address] = it->second.original();
  patches_.mask(address, bytes, size);
}

bool AddressSpace::is_probed(u64 site) const {
  const auto next = breakpoints_.lower_bound(site);
  return next != breakpoints_.end() && next->first - site < kSiteSize;
}

PatchResult AddressSpace::patch(Task& task, const MadeCall& call, const DecisionData& data) {
  if (!refresh()) return PatchResult::kNotText;
  if (is_probed(call.resume - kSiteSize)) return patches_.refuse(call.resume), PatchResult::kBusy;
  return patches_.place(task, memory_, mappings_, call, data);
}

Result<u64> AddressSpace::slot_for(Task& task, u64 address, Breakpoint& breakpoint, bool touch,
                                   const Slots::Inside& inside) {
  u64& slot = touch ? breakpoint.touch : breakpoint.slot;
  if (slot == 0) slot = TRY(slots_.take(task, memory_, {address, touch, breakpoint.plan, breakpoint.bytes}, inside));
  return slot;
}

bool AddressSpace::find_first(u64 image, u64 entry, FirstSites& known) {
  if (Result<FirstText> found = find_first_text(memory_, image, entry, known)) first_ = *found;
  return first_.has_value();
}

std::optional<u64> AddressSpace::begin(Task& task, const PathTable& table) {
  FirstCalls calls = first_->calls ? *first_->calls : FirstCalls();
  std::erase_if(calls, [&](const auto& call) { return is_probed(first_->start + call.first); });
  const std::optional<u64> patched = patches_.begin(task, memory_, *first_, calls, table);
  memory_.close();  // a program that is over soon has no further use for it, and its parent waits
  return patched;
}

bool AddressSpace::counts(const MadeCall& call, u32 hot) {
  const std::shared_ptr<AddressSpace> origin = origin_.lock();
  if (origin && origin->patches_.counts(call, hot)) origin->patches_.want(call);
  return patches_.counts(call, hot);
}

void AddressSpace::learn(const MadeCall& call) {
  const u64 address = call.resume - kSiteSize;
  SiteBytes bytes;
  if (!first_ || !first_->contains(address) || !patches_.is_new(call.resume)) return;
  if (memory_.read(address, bytes.data(), bytes.size()) != bytes.size()) return;
  const PathShape* const shape = path_shape(call.number);
  if (shape && !shape->inside && call_site(bytes, call.number)) FirstSites::learn(*first_, address, call.number);
}

}  // namespace bpfemu
