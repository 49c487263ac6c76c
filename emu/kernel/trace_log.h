// SPDX-License-Identifier: Apache-2.0
// The trace buffer: what bpf_trace_printk, events that are turned on and trace_marker write, and trace and trace_pipe
// show. Each entry has one reader: a pipe that stands for an open trace_pipe gets it at once, else it waits here.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/fd.h"
#include "emu/base/result.h"
#include "emu/kernel/trace_options.h"

namespace bpfemu {

// The head of a line of the trace ("   cat-1234    [000] ...21   12.345678: ").
struct TraceContext {
  std::string_view comm;
  u32 pid = 0, tgid = 0, cpu = 0;
  u64 time_ns = 0;
  std::string_view flags = "...21";
};

class TraceLog {
 public:
  // The last lines of how an entry is shown raw: "type: 312\n".
  static std::string raw_of_type(u32 type);

  // What the options say, null: as they are at first.
  const TraceOptions* options = nullptr;
  // The event bpf_trace_printk.
  u32 printk_type = 0;

  // bpf_trace_printk's line: "bpf_trace_printk: TEXT".
  void bpf_printk(const TraceContext& context, std::string_view text);
  // One entry: what stands behind the head of its line, and what is shown instead with the options raw and hex.
  void add(const TraceContext& context, std::string text, std::string raw);

  // A reader's end of a new trace_pipe.
  Result<UniqueFd> open_pipe(bool nonblocking);
  // The text of `trace`, which consumes nothing; of one CPU, or with -1 of all.
  std::string listing(u32 cpus, int cpu = -1) const;
  void clear(int cpu = -1);

  // buffer_size_kb of each CPU. EINVAL: 0; ENOMEM.
  Result<void> resize(u64 kilobytes);
  // "1410\n", or, before anybody wanted a buffer, "7 (expanded: 1408)\n"; of so many CPUs together.
  std::string size_text(u32 cpus) const;
  void expand() { expanded_ = true; }

  bool enabled = true;  // tracing_on

 private:
  struct Entry {
    std::string comm, flags, text, raw;
    u32 pid, tgid, cpu;
    u64 time_ns;
    size_t size() const { return sizeof *this + comm.size() + flags.size() + text.size() + raw.size(); }
  };
  bool on(std::string_view option, bool otherwise) const { return options ? options->on(option) : otherwise; }
  std::string line(const Entry& entry) const;
  bool deliver(std::string_view line);
  void flush();

  std::deque<Entry> entries_;
  size_t size_ = 0;
  u64 lost_ = 0;  // those that had to go for others
  bool expanded_ = false;
  u64 kilobytes_ = 1410;
  std::vector<UniqueFd> pipes_;
};

}  // namespace bpfemu
