// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/apart_events.h"

#include <algorithm>

#include "emu/bpf/shared_values.h"
#include "emu/probe/contexts.h"
#include "emu/probe/perf_event.h"

namespace bpfemu {

namespace {

constexpr u64 kSecondWord = 2;  // of the context of raw tracepoints: the call's number

bool is_raw(const Point& point) { return point.where().context == sys_enter_args; }

const InsideCall* call_at(const Extent& memory) { return reinterpret_cast<const InsideCall*>(memory.address); }

bool is_plain(const Map& map) { return has_trait(map, kWriteInside) && map.hole_count == 0; }

// Its values are never written by programs, so they may lie wherever they are.
bool is_read_only(const Map& map) { return map.flags & BPF_F_RDONLY_PROG; }

}  // namespace

ApartEvents::~ApartEvents() {
  for (const auto& [number, row] : rows_) arena_.release(row->memory);
  for (const auto& [point, counter] : counters_) arena_.release(counter.memory);
  if (events_) arena_.release(memory_);
}

// The seats are there from the first time that they are needed.
bool ApartEvents::begin() {
  if (events_) return true;
  CpuSeat* const seats = arena_.seats();
  const u64* const shares = arena_.shares_told();
  const auto memory = seats && shares ? arena_.allocate(sizeof(InsideEvents)) : Result<Extent>(fail(ENOMEM));
  if (!memory) return false;
  memory_ = *memory;
  events_ = reinterpret_cast<InsideEvents*>(memory_.address);
  events_->seats = seats;
  events_->cpus = arena_.cpus();
  events_->shares = shares;
  return true;
}

bool ApartEvents::runs_apart(const Point& point) const {
  const Point::Where& where = point.where();
  if (where.depth != Depth::kTracepoint || where.hits || where.runs || point.traced() || point.programs().empty())
    return false;
  if (std::ranges::any_of(point.counters(), [](const PerfEvent* each) { return !each->only_counts(); })) return false;
  if (where.context != sys_enter_record && where.context != sys_enter_args) return false;
  return std::ranges::none_of(point.programs(), [&](const Attachment& each) {
    const VerifiedProgram& verified = each.program->verified;
    return each.program->is_hooked() || (is_raw(point) && (verified.ctx_words & ~kSecondWord));
  });
}

bool ApartEvents::share_maps(const Program& program) {
  return std::ranges::all_of(program.verified.used_maps, [&](const std::shared_ptr<MapObject>& used) {
    Map& map = used->map();
    if (!is_plain(map)) return false;
    if (is_read_only(map)) return true;
    return is_shareable(map) && share_values(arena_, map);
  });
}

std::shared_ptr<const ApartCode> ApartEvents::code_of(const Program& program) {
  const auto known = codes_.find(&program);
  if (known != codes_.end()) return known->second;
  auto code = program.code_apart();
  if (code && !share_maps(program)) code = nullptr;
  codes_[&program] = code;
  return code;
}

PassedEvents* ApartEvents::counter_of(const Point& point) {
  const auto known = counters_.find(&point);
  if (known != counters_.end()) return reinterpret_cast<PassedEvents*>(known->second.memory.address);
  const auto memory = arena_.allocate(arena_.cpus() * sizeof(PassedEvents));
  if (!memory) return nullptr;
  if (!arena_.share(*memory)) return arena_.release(*memory), nullptr;
  counters_[&point] = {*memory, std::vector<u64>(arena_.cpus())};
  return reinterpret_cast<PassedEvents*>(memory->address);
}

bool ApartEvents::add(const Point& point, InsideCall& call, Row& row) {
  if (!runs_apart(point) || call.count + point.programs().size() > InsideCall::kMost) return false;
  u32 flags = InsideProgram::kFirst;
  PassedEvents* const passed = point.counters().empty() ? nullptr : counter_of(point);
  if (!passed && !point.counters().empty()) return false;
  for (const Attachment& each : point.programs()) {
    auto code = code_of(*each.program);
    if (!code) return false;
    call.programs[call.count++] = {.entry = code->entry(),
                                   .text = &each.program->text(),
                                   .cookie = each.cookie,
                                   .passed = passed,
                                   .context = is_raw(point) ? InsideContext::kRaw : InsideContext::kRecord,
                                   .flags = std::exchange(flags, 0)};
    call.end = std::max(call.end, code->end());
    for (const auto& used : each.program->verified.used_maps)
      call.end = std::max(call.end, reinterpret_cast<u64>(&used->map()) + used->map().footprint);
    row.code.push_back(std::move(code));
  }
  call.programs[call.count - 1].flags |= InsideProgram::kLast;
  row.points.insert(&point);
  return true;
}

std::unique_ptr<ApartEvents::Row> ApartEvents::row_of(const Points& points) {
  const auto memory = arena_.allocate(sizeof(InsideCall));
  if (!memory) return nullptr;
  auto row = std::make_unique<Row>(Row{*memory, {}, {}});
  auto& call = *reinterpret_cast<InsideCall*>(memory->address);
  call.end = memory->address + memory->size;
  const bool all = std::ranges::all_of(points, [&](const Point* point) { return !point->watched() || add(*point, call, *row); });
  if (all && call.count != 0) return row;
  arena_.release(*memory);
  return nullptr;
}

void ApartEvents::changed(const std::array<Points, kSyscallLimit>& entered, const SyscallSet& wanted,
                          const SyscallSet& stops) {
  if (wanted.none() && !events_) return;
  if (!begin()) return;
  const auto before = std::exchange(rows_, {});
  for (size_t number = 0; number < std::min<size_t>(kSyscallLimit, InsideEvents::kNumbers); ++number) {
    auto row = wanted[number] && !stops[number] ? row_of(entered[number]) : nullptr;
    const InsideCall* const call = row ? call_at(row->memory) : wanted[number] ? kAsks : nullptr;
    __atomic_store_n(&events_->calls[number], call, __ATOMIC_SEQ_CST);
    if (row) rows_[number] = std::move(row);
  }
  for (const auto& [number, row] : before) arena_.release(row->memory);
  drop_unused();
}

void ApartEvents::drop_unused() {
  std::erase_if(counters_, [&](const auto& entry) {
    const auto& [point, counter] = entry;
    if (std::ranges::any_of(rows_, [&](const auto& row) { return row.second->points.contains(point); })) return false;
    if (points_.contains(point)) settle(*point);
    arena_.release(counter.memory);
    return true;
  });
  std::erase_if(codes_, [&](const auto& entry) {
    return std::ranges::none_of(rows_, [&](const auto& row) {
      return std::ranges::find(row.second->code, entry.second) != row.second->code.end();
    });
  });
}

void ApartEvents::settle(const Point& point) {
  const auto found = counters_.find(&point);
  if (found == counters_.end()) return;
  auto& [memory, seen] = found->second;
  const auto* const passed = reinterpret_cast<const PassedEvents*>(memory.address);
  for (u32 cpu = 0; cpu < arena_.cpus(); ++cpu) {
    const u64 count = __atomic_load_n(&passed[cpu].count, __ATOMIC_RELAXED);
    const u64 more = count - std::exchange(seen[cpu], count);
    for (PerfEvent* event : point.counters()) event->passed(more, cpu);
  }
}

Map* ApartEvents::map_at(u64 address) const {
  for (const auto& [program, code] : codes_)
    for (const auto& used : program->verified.used_maps)
      if (code && reinterpret_cast<u64>(&used->map()) == address) return &used->map();
  return nullptr;
}

}  // namespace bpfemu
