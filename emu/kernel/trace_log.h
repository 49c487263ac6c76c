// SPDX-License-Identifier: Apache-2.0
// The trace buffer that bpf_trace_printk writes and trace and trace_pipe show. Each line has one reader: a pipe that
// stands for an open trace_pipe gets it at once, else it waits here.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/fd.h"
#include "emu/base/result.h"

namespace bpfemu {

// The head of a line of the trace ("   cat-1234    [000] ...21   12.345678: ").
struct TraceContext {
  std::string_view comm;
  u32 pid = 0, cpu = 0;
  u64 time_ns = 0;
  std::string_view flags = "...21";
};

class TraceLog {
 public:
  // bpf_trace_printk's line: "bpf_trace_printk: TEXT".
  void bpf_printk(const TraceContext& context, std::string_view text);

  // A reader's end of a new trace_pipe.
  Result<UniqueFd> open_pipe(bool nonblocking);
  // The text of `trace`, which consumes nothing.
  std::string listing(u32 cpus) const;
  void clear() {
    lines_.clear();
    size_ = 0;
  }

  bool enabled = true;  // tracing_on

 private:
  bool deliver(std::string_view line);
  void flush();

  std::deque<std::string> lines_;
  size_t size_ = 0;
  std::vector<UniqueFd> pipes_;
  size_t entries_ = 0;
};

}  // namespace bpfemu
