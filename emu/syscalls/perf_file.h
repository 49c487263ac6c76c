// SPDX-License-Identifier: Apache-2.0
// The open file of a perf event.
#pragma once

#include "emu/probe/perf_event.h"
#include "emu/syscalls/files.h"

namespace bpfemu {

class PerfEventFile : public File {
 public:
  explicit PerfEventFile(std::shared_ptr<PerfEvent> event) : event_(std::move(event)) {}

  std::string link_name() const override { return "anon_inode:[perf_event]"; }
  std::shared_ptr<Object> object() const override { return event_; }
  const std::shared_ptr<PerfEvent>& event() const { return event_; }

  Result<u64> ioctl(System& system, Call& call) override;
  Result<u64> mmap(System& system, Call& call) override;
  Result<u64> read(Task& task, u64 address, u64 size) override;
  // Nobody reads the counter of an event that is there for programs' output.
  bool is_read() const override {
    return event_->spec().sort != PerfEvent::Sort::kOutput || event_->attr().read_format;
  }
  bool pollable() const override { return true; }
  const void* ring() const override { return event_->state().ring; }
  // A wakeup is reported once (kernel: perf_poll).
  bool reports_once() const override { return true; }
  bool readable() const override;
  u32 poll() override;
  u32 condition() const override;
  Extent mapping() const override { return event_->buffer() ? event_->buffer()->extent() : Extent{}; }

 private:
  std::shared_ptr<PerfEvent> event_;
};

// A task's descriptor of a perf event: EBADF (kernel: perf_fget_light, perf_event_get).
Result<std::shared_ptr<PerfEvent>> find_perf_event(System& system, Task& task, int fd);

// Bytes that a read of an event with so many siblings gives (kernel: __perf_event_read_size).
u64 perf_read_size(u64 format, u64 siblings);
// Can one more event with `format` join the group? E2BIG (kernel: perf_event_validate_size).
Result<void> check_read_sizes(const PerfEvent& leader, u64 format);

// PERF_EVENT_IOC_SET_OUTPUT and PERF_FLAG_FD_OUTPUT; `output` null: none any more (kernel: perf_event_set_output).
Result<void> set_perf_output(PerfEvent& event, PerfEvent* output);

// Attributes as a tool gives them: E2BIG, which tells the size that is known; EFAULT, EINVAL (kernel: perf_copy_attr).
Result<perf_event_attr> copy_perf_attr(Task& task, u64 address);

Reply enter_perf_event_open(System& system, Call& call);

}  // namespace bpfemu
