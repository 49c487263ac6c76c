// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/trace_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace bpfemu {

namespace {

constexpr size_t kLargest = 1408 << 10;  // the kernel's buffer of one CPU once it is in use
constexpr int kPipeBytes = 1 << 20;      // the largest that needs no privilege

}  // namespace

// kernel: trace_print_context and the ftrace event bpf_trace_printk.
void TraceLog::bpf_printk(const TraceContext& context, std::string_view text) {
  if (!enabled) return;
  while (text.ends_with('\n')) text.remove_suffix(1);
  u64 micros = (context.time_ns + 500) / 1000;
  std::string line = fmt::format("{:>16}-{:<7} [{:03}] {} {:5}.{:06}: bpf_trace_printk: {}\n", context.comm,
                                 context.pid, context.cpu, context.flags, micros / 1000000, micros % 1000000, text);
  ++entries_;
  size_ += line.size();
  lines_.push_back(std::move(line));
  flush();
  while (size_ > kLargest) {
    size_ -= lines_.front().size();
    lines_.pop_front();
  }
}

Result<UniqueFd> TraceLog::open_pipe(bool nonblocking) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail(errno);
  UniqueFd reader(ends[0]), writer(ends[1]);
  ::fcntl(writer.get(), F_SETPIPE_SZ, kPipeBytes);
  if (!nonblocking) ::fcntl(reader.get(), F_SETFL, 0);
  pipes_.push_back(std::move(writer));
  flush();
  return reader;
}

// A full pipe keeps its lines for later; one that nobody reads any more is forgotten. The supervisor ignores SIGPIPE.
bool TraceLog::deliver(std::string_view line) {
  for (size_t i = 0; i < pipes_.size();) {
    ssize_t written = ::write(pipes_[i].get(), line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) return true;
    if (written < 0 && errno == EPIPE) {
      pipes_.erase(pipes_.begin() + static_cast<ssize_t>(i));
    } else {
      ++i;
    }
  }
  return false;
}

void TraceLog::flush() {
  while (!lines_.empty() && !pipes_.empty() && deliver(lines_.front())) {
    size_ -= lines_.front().size();
    lines_.pop_front();
  }
}

std::string TraceLog::listing(u32 cpus) const {
  std::string out = fmt::format(
      "# tracer: nop\n#\n# entries-in-buffer/entries-written: {}/{}   #P:{}\n#\n"
      "#                                _-----=> irqs-off/BH-disabled\n"
      "#                               / _----=> need-resched\n"
      "#                              | / _---=> hardirq/softirq\n"
      "#                              || / _--=> preempt-depth\n"
      "#                              ||| / _-=> migrate-disable\n"
      "#                              |||| /     delay\n"
      "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
      "#              | |         |   |||||     |         |\n",
      lines_.size(), entries_, cpus);
  for (const std::string& line : lines_) out += line;
  return out;
}

}  // namespace bpfemu
