// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/occasion.h"

#include <cstring>

namespace bpfemu {

OccasionMemory::~OccasionMemory() {
  for (const Extent& page : all_) arena_.release(page);
}

u64 OccasionMemory::take() {
  if (free_.empty()) {
    const auto page = arena_.allocate(kSize);
    if (!page) return 0;
    all_.push_back(*page);
    free_.push_back(page->address);
  }
  const u64 page = free_.back();
  free_.pop_back();
  return page;
}

Occasion::~Occasion() {
  if (page_) services_.memory.give_back(page_);
}

u64 Occasion::place_zeroed(size_t size) {
  constexpr u64 kAlign = 16;
  if (!page_) page_ = services_.memory.take();
  if (!page_ || size > OccasionMemory::kSize - used_) return 0;
  const u64 at = page_ + used_;
  used_ = std::min(OccasionMemory::kSize, used_ + round_up(size, kAlign));
  memset(reinterpret_cast<void*>(at), 0, size);
  return at;
}

void Passing::leave(s64 result) const {
  if (!occasion_ || !occasion_->sink_.awaited(hook_, Side::kReturn)) return;
  Event event = occasion_->event_;
  event.result = result;
  event.arguments = &arguments_;
  event.listeners = listeners_;
  occasion_->sink_.passed(hook_, Side::kReturn, event);
}

// The answer of a modifying program stands for the function's: its modules are not asked.
bool Occasion::ask_with(Hook hook, const Arguments& arguments, std::span<const Arguments> modules,
                        const std::function<ModuleAnswer()>& others) {
  const Passing passing = enter_with(hook, arguments);
  Event event = event_;
  event.arguments = &arguments;
  u64 answer = sink_.asked(hook, Side::kModify, event);
  const ModuleAnswer other = answer ? ModuleAnswer{} : others();
  for (const Arguments& each : modules) {
    if (answer || other.refusal) break;
    event.arguments = &each;
    answer = static_cast<u32>(sink_.asked(hook, Side::kModule, event));
  }
  passing.leave(answer ? static_cast<s64>(answer) : other.refusal ? other.refusal : other.otherwise);
  if (const s32 error = static_cast<s32>(answer)) denial_ = error;
  return !denial_;
}

Passing Occasion::enter_with(Hook hook, const Arguments& arguments) {
  const u64 listeners = sink_.listeners();
  Event event = event_;
  event.arguments = &arguments;
  sink_.passed(hook, Side::kEntry, event);
  return Passing(*this, hook, arguments, listeners);
}

void Occasion::trace_with(Hook hook, const Arguments& arguments, const std::function<void(Record&)>& fields) {
  Event event = event_;
  event.arguments = &arguments;
  event.fields = &fields;
  sink_.passed(hook, Side::kEntry, event);
}

}  // namespace bpfemu
