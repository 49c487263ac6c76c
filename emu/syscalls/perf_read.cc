// SPDX-License-Identifier: Apache-2.0
// read() of perf events (kernel: perf_read).
#include <linux/perf_event.h>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/perf_file.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u64 kMaxReadSize = 16 * 1024;

class Values {
 public:
  void add(bool wanted, u64 value) {
    if (wanted) values_.push_back(value);
  }
  void add_times(u64 format, const PerfEventState& state) {
    add(format & PERF_FORMAT_TOTAL_TIME_ENABLED, state.time);
    add(format & PERF_FORMAT_TOTAL_TIME_RUNNING, state.time);
  }
  void add_identity(u64 format, const PerfEventState& state) {
    add(format & PERF_FORMAT_ID, state.id);
    add(format & PERF_FORMAT_LOST, state.lost_samples);
  }
  const std::vector<u64>& all() const { return values_; }

 private:
  std::vector<u64> values_;
};

// kernel: perf_read_one.
void add_one(Values& values, const PerfEvent& event, u64 format) {
  values.add(true, event.state().count);
  values.add_times(format, event.state());
  values.add_identity(format, event.state());
}

// kernel: perf_read_group.
void add_group(Values& values, const PerfEvent& leader, u64 format) {
  values.add(true, 1 + leader.siblings().size());
  values.add_times(format, leader.state());
  values.add(true, leader.state().count);
  values.add_identity(format, leader.state());
  for (const PerfEvent* sibling : leader.siblings()) {
    values.add(true, sibling->state().count);
    values.add_identity(format, sibling->state());
  }
}

}  // namespace

u64 perf_read_size(u64 format, u64 siblings) {
  bool group = format & PERF_FORMAT_GROUP;
  u64 times = !!(format & PERF_FORMAT_TOTAL_TIME_ENABLED) + !!(format & PERF_FORMAT_TOTAL_TIME_RUNNING);
  u64 entry = 1 + !!(format & PERF_FORMAT_ID) + !!(format & PERF_FORMAT_LOST);
  return sizeof(u64) * (group + times + entry * (group ? 1 + siblings : 1));
}

Result<void> check_read_sizes(const PerfEvent& leader, u64 format) {
  u64 siblings = leader.siblings().size() + 1;
  bool fits = perf_read_size(format, siblings) <= kMaxReadSize &&
              perf_read_size(leader.attr().read_format, siblings) <= kMaxReadSize;
  for (const PerfEvent* sibling : leader.siblings()) {
    fits &= perf_read_size(sibling->attr().read_format, siblings) <= kMaxReadSize;
  }
  return fits ? Result<void>{} : fail(E2BIG);
}

Result<u64> PerfEventFile::read(Task& task, u64 address, u64 size) {
  if (event_->point()) (void)event_->point()->check_modelled();
  u64 format = event_->attr().read_format;
  if (format & PERF_FORMAT_GROUP) {
    event_->update_group();
  } else {
    event_->update();
  }
  // Only now: others may have changed the group meanwhile.
  if (size < perf_read_size(format, event_->siblings().size())) return fail(ENOSPC);
  Values values;
  if (format & PERF_FORMAT_GROUP) {
    add_group(values, event_->leader(), format);
  } else {
    add_one(values, *event_, format);
  }
  u64 bytes = values.all().size() * sizeof(u64);
  TRY(task.write(address, values.all().data(), bytes));
  return bytes;
}

}  // namespace bpfemu
