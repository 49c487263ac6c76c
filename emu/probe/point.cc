// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/point.h"

#include <algorithm>

#include "emu/bpf/noticed.h"
#include "emu/probe/perf_event.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// Which argument of a function lies in a word of pt_regs, by the calling convention.
Arguments::Mask in_regs(u64 words) {
  constexpr u32 kOfArgument[] = {offsetof(PtRegs, rdi), offsetof(PtRegs, rsi), offsetof(PtRegs, rdx),
                                 offsetof(PtRegs, rcx), offsetof(PtRegs, r8),  offsetof(PtRegs, r9)};
  Arguments::Mask mask = 0;
  for (u32 n = 0; n < std::size(kOfArgument); ++n) mask |= (words >> kOfArgument[n] / sizeof(u64) & 1) << n;
  const bool stack = words >> offsetof(PtRegs, rsp) / sizeof(u64) & 1;
  return stack ? mask | ~Arguments::Mask{0} << std::size(kOfArgument) : mask;
}

Arguments::Mask looked_at_by(const Program& program) {
  if (program.is_hooked()) return ~Arguments::Mask{0};  // who hangs on it may look at anything
  const u64 words = program.verified.ctx_words;
  if (program.type == BPF_PROG_TYPE_KPROBE) return in_regs(words);
  if (program.type == BPF_PROG_TYPE_TRACEPOINT) return 0;
  return static_cast<Arguments::Mask>(words);
}

}  // namespace

Arguments::Mask Point::looked_at() const {
  Arguments::Mask mask = 0;
  for (const Attachment& each : programs_) mask |= looked_at_by(*each.program);
  if (where_.runs) mask = ~Arguments::Mask{0};
  return (counters().empty() && !traced()) || where_.probe == Probe::kNone ? mask : ~Arguments::Mask{0};
}

Point::Point(Probes& probes, Where where) : probes_(probes), serial_(probes.listeners()), where_(std::move(where)) {
  probes_.add(*this);
  if (where_.hits || where_.runs) probes_.programs_changed();
}

Point::~Point() {
  probes_.remove(*this);
  if (at_site()) probes_.sites().drop(where_.site);
}

// What has places is nowhere itself.
bool Point::at_site() const { return where_.probe == Probe::kUser && where_.moment != Moment::kNever; }

Result<void> Point::open(const void* listener, pid_t tid, bool inherit) {
  const bool covered = filter.add(listener, tid, inherit, probes_.host());
  probes_.filter_changed(*this);
  Result<void> applied = covered || !at_site() ? Result<void>() : probes_.sites().apply(where_.site);
  for (auto& [probe, place] : places) {
    if (applied) applied = place->open(listener, tid, inherit);
  }
  if (!applied) close(listener);
  return applied;
}

void Point::close(const void* listener) {
  filter.remove(listener);
  probes_.filter_changed(*this);
  if (at_site()) probes_.sites().withdraw(where_.site);
  for (auto& [probe, place] : places) place->close(listener);
}

Result<void> Point::join(const DynamicProbe* probe, std::unique_ptr<Point> place) {
  for (const Attachment& each : programs_) TRY(place->attach(each));
  place->filter = filter;
  probes_.filter_changed(*place);
  if (place->at_site()) TRY(probes_.sites().apply(place->where_.site));
  place->whole_ = this;
  places.emplace(probe, std::move(place));
  return {};
}

Result<void> Point::check_modelled() const {
  for (const auto& [probe, place] : places) TRY(place->check_modelled());
  if (!where_.missing) return {};
  probes_.unmodelled().note(where_.missing->kind, where_.missing->name);
  return fail(ENOENT);
}

Result<void> Point::attach(Attachment attachment) {
  if (programs_.size() >= kMaxPrograms) return fail(E2BIG);
  if (std::ranges::count(programs_, attachment.program, &Attachment::program)) return fail(EEXIST);
  if (is_noticed(*attachment.program) && !check_modelled()) return fail(EOPNOTSUPP);
  for (auto& [probe, place] : places) TRY(place->attach(attachment));
  programs_.push_back(std::move(attachment));
  needs_ = {};
  for (const Attachment& each : programs_) needs_.add(needs_of(*each.program));
  probes_.programs_changed();
  return {};
}

void Point::set_traced(bool on) {
  traced_ = on;
  probes_.programs_changed();
}

bool Point::awaited() const {
  return !programs_.empty() || where_.runs || traced() || std::ranges::any_of(counters(), [](const PerfEvent* e) { return e->state().active != 0; });
}

void Point::detach(const Program& program) {
  auto it = std::ranges::find_if(programs_, [&](const Attachment& each) { return each.program.get() == &program; });
  if (it == programs_.end()) return;
  for (auto& [probe, place] : places) place->detach(program);
  programs_.erase(it);
  probes_.programs_changed();
}

}  // namespace bpfemu
