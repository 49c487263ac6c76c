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
  Result<u64> write(System&, Task&, u64, u64) override { return fail(EINVAL); }
  bool pollable() const override { return true; }
  const void* ring() const override { return event_->state().ring; }
  // A wakeup is reported once (kernel: perf_poll). Whether a wait has reported it nobody tells us, but one that began
  // after it has; so data that two waits in a row found untouched is old news.
  bool readable() const override;

 private:
  std::shared_ptr<PerfEvent> event_;
  mutable u64 seen_head_ = 0, seen_tail_ = 0;
};

// A task's descriptor of a perf event: EBADF (kernel: perf_fget_light, perf_event_get).
Result<std::shared_ptr<PerfEvent>> find_perf_event(System& system, Task& task, int fd);

// PERF_EVENT_IOC_SET_OUTPUT and PERF_FLAG_FD_OUTPUT; `output` null: none any more (kernel: perf_event_set_output).
Result<void> set_perf_output(PerfEvent& event, PerfEvent* output);

Reply enter_perf_event_open(System& system, Call& call);
s64 exit_perf_event_open(System& system, Call& call, s64 result);

}  // namespace bpfemu
