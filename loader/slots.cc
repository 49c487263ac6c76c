// SPDX-License-Identifier: Apache-2.0
#include "loader/slots.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <utility>

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr u64 kReach = u64{1} << 30;  // half of what rel32 reaches: leaves room for the operands' own distance
constexpr u64 kLowest = 0x10000;      // vm.mmap_min_addr of common systems
constexpr int kTries = 8;             // other threads map memory too, where we wanted to

u64 distance(u64 a, u64 b) {
  return a > b ? a - b : b - a;
}

// A free page as near to `address` as can be, 0: none within reach.
u64 free_range_near(const std::vector<MapsLine>& maps, u64 address) {
  u64 best = 0, end_of_last = kLowest;
  const auto consider = [&](u64 candidate) {
    if (distance(candidate, address) >= kReach) return;
    if (best == 0 || distance(candidate, address) < distance(best, address)) best = candidate;
  };
  for (const MapsLine& line : maps) {
    // The lower end of a gap is where the heap or a guard grows; keep a page away from both sides.
    if (line.start >= end_of_last + 4 * kPage) {
      consider(line.start - 2 * kPage);
      consider(end_of_last + 2 * kPage);
    }
    end_of_last = std::max(end_of_last, line.end);
  }
  return best;
}

// mmap of a page at `hint`. The kernel's own page of slots counts against no RLIMIT_AS: lend the process what it may
// have.
Result<u64> map_page(Task& task, u64 hint) {
  constexpr u64 flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const auto map = [&] { return task.call(SYS_mmap, {hint, kPage, PROT_READ | PROT_EXEC, flags, ~u64{0}, 0}); };
  const Result<u64> start = map();
  rlimit limit;
  if (start || start.error().value != ENOMEM || ::prlimit(task.tgid(), RLIMIT_AS, nullptr, &limit) != 0) return start;
  const rlimit most{limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur == limit.rlim_max || ::prlimit(task.tgid(), RLIMIT_AS, &most, nullptr) != 0) return start;
  const Result<u64> again = map();
  ::prlimit(task.tgid(), RLIMIT_AS, &limit, nullptr);
  return again;
}

Result<SlotCode> build(const SlotUse& use, u64 slot) {
  const std::span<const u8> bytes(use.bytes);
  return use.touch ? build_touch(use.plan, bytes, use.address, slot) : build_slot(use.plan, bytes, use.address, slot);
}

}  // namespace

bool is_near(u64 page, u64 address) {
  return distance(page, address) < kReach;
}

Result<u64> map_code_page(Task& task, SpaceMemory& memory, u64 near) {
  for (int tries = 0; tries < kTries; ++tries) {
    const u64 hint = free_range_near(TRY(memory.maps()), near);
    if (hint == 0) return fail(ERANGE);
    const Result<u64> start = map_page(task, hint);
    if (!start && start.error().value == EEXIST) continue;
    if (!start) return std::unexpected(start.error());
    std::array<u8, kPage> filler;
    filler.fill(kInt3);
    TRY(memory.write(*start, filler.data(), filler.size()));
    return *start;
  }
  return fail(EEXIST);
}

Result<Slots::Area*> Slots::map_area(Task& task, SpaceMemory& memory, u64 near) {
  areas_.push_back({TRY(map_code_page(task, memory, near)), 1});
  return &areas_.back();
}

Result<u64> Slots::free_slot(Task& task, SpaceMemory& memory, u64 near, const Inside& inside) {
  for (Area& area : areas_)
    if (is_near(area.start, near) && area.used < kPage / kSlotSize)
      return area.start + area.used++ * kSlotSize;
  for (const auto& [address, slot] : slots_)
    if (slot.given_back && is_near(address, near) && !inside(address)) return address;
  Area* const area = TRY(map_area(task, memory, near));
  return area->start + area->used++ * kSlotSize;
}

Result<u64> Slots::take(Task& task, SpaceMemory& memory, const SlotUse& use, const Inside& inside) {
  // The same code may be entered again whoever is still in there.
  for (auto& [address, slot] : slots_) {
    if (!slot.given_back || slot.use != use) continue;
    slot.given_back = false;
    return address;
  }
  const u64 slot = TRY(free_slot(task, memory, use.address, inside));
  Slot& entry = slots_[slot];
  entry = {use, true};  // until it holds the code
  const SlotCode code = TRY(build(use, slot));
  TRY(memory.write(slot, code.data(), code.size()));
  entry.given_back = false;
  return slot;
}

void Slots::give_back(u64 slot) {
  const auto it = slots_.find(slot);
  if (it != slots_.end()) it->second.given_back = true;
}

void Slots::settle_fork(SpaceMemory& memory) {
  std::array<u8, kPage> page;
  const std::vector<Area> before = std::exchange(areas_, {});
  for (const Area& area : before) {
    const auto first = slots_.lower_bound(area.start), last = slots_.lower_bound(area.start + kPage);
    const Result<size_t> read = memory.read(area.start, page.data(), page.size());
    if (!read || page[0] != kInt3) {
      slots_.erase(first, last);
      continue;
    }
    areas_.push_back(area);
    for (auto it = first; it != last; ++it) {
      const Result<SlotCode> code = build(it->second.use, it->first);
      if (code && !std::equal(code->begin(), code->end(), page.begin() + (it->first - area.start)))
        (void)memory.write(it->first, code->data(), code->size());
    }
  }
}

Result<u64> Slots::return_trampoline(Task& task, SpaceMemory& memory, u64 near) {
  if (!areas_.empty()) return areas_.front().start;
  return TRY(map_area(task, memory, near))->start;
}

bool Slots::is_return_trampoline(u64 address) const {
  return std::any_of(areas_.begin(), areas_.end(), [&](const Area& a) { return a.start == address; });
}

std::optional<SlotPlace> Slots::place_of(u64 rip) const {
  auto it = slots_.upper_bound(rip);
  if (it == slots_.begin()) return std::nullopt;
  --it;
  const u64 offset = rip - it->first;
  if (offset >= kSlotSize) return std::nullopt;
  const SlotUse& use = it->second.use;
  const bool executed = offset != 0 && !use.touch;
  return SlotPlace{.address = use.address,
                   .resume = use.address + (executed ? use.plan.length : 0),
                   .popped = use.touch && offset == touch_pushed(use.plan) ? u64{8} : 0,
                   .executed = executed,
                   .touch = use.touch,
                   .one_step = use.plan.one_step};
}

}  // namespace bpfemu
