// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/trace_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace bpfemu {

namespace {

constexpr u64 kBufferPage = 4080;    // kernel: BUF_PAGE_SIZE
constexpr u64 kLargest = 1 << 20;    // kilobytes: the buffer is the supervisor's memory
constexpr int kPipeBytes = 1 << 20;  // the largest that needs no privilege

}  // namespace

std::string TraceLog::raw_of_type(u32 type) {
  return fmt::format("type: {}\n", type);
}

// kernel: trace_print_context and the ftrace event bpf_trace_printk.
void TraceLog::bpf_printk(const TraceContext& context, std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  add(context, fmt::format("bpf_trace_printk: {}\n", text), raw_of_type(printk_type));
}

void TraceLog::add(const TraceContext& context, std::string text, std::string raw) {
  if (!enabled) return;
  Entry entry{.comm = std::string(on("record-cmd", true) ? context.comm : "<...>"),
              .flags = std::string(context.flags),
              .text = std::move(text),
              .raw = std::move(raw),
              .pid = context.pid,
              .tgid = on("record-tgid", false) ? context.tgid : 0,
              .cpu = context.cpu,
              .time_ns = context.time_ns};
  const size_t most = kilobytes_ << 10;  // that of one CPU
  if (!on("overwrite", true) && size_ + entry.size() > most) {
    ++lost_;
    return;
  }
  size_ += entry.size();
  // What is told late has its place among the others (kernel: each CPU has its own buffer, and they are read by time).
  auto place = entries_.end();
  while (place != entries_.begin() && std::prev(place)->time_ns > entry.time_ns) --place;
  entries_.insert(place, std::move(entry));
  flush();
  while (size_ > most) {
    size_ -= entries_.front().size();
    entries_.pop_front();
    ++lost_;
  }
}

// kernel: print_trace_fmt, print_raw_fmt, print_hex_fmt.
std::string TraceLog::line(const Entry& e) const {
  const bool head = on("context-info", true);
  if (on("raw", false)) return (head ? fmt::format("{} {} {} ", e.pid, e.cpu, e.time_ns) : "") + e.raw;
  if (on("hex", false))
    return (head ? fmt::format("{:08x} {:08x} {:016x} ", e.pid, e.cpu, e.time_ns) : "") + e.raw + "\n";
  if (!head) return e.text;
  const u64 micros = (e.time_ns + 500) / 1000;
  std::string group;
  if (on("record-tgid", false)) group = e.tgid ? fmt::format("({:>7}) ", e.tgid) : "(-------) ";
  return fmt::format("{:>16}-{:<7} {}[{:03}] {} {:5}.{:06}: {}", e.comm, e.pid, group, e.cpu,
                     on("irq-info", true) ? e.flags : "", micros / 1000000, micros % 1000000, e.text);
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
  while (!entries_.empty() && !pipes_.empty() && deliver(line(entries_.front()))) {
    size_ -= entries_.front().size();
    entries_.pop_front();
  }
}

// kernel: print_func_help_header, print_func_help_header_irq.
std::string TraceLog::listing(u32 cpus, int cpu) const {
  auto shown = [=](const Entry& entry) { return cpu < 0 || entry.cpu == static_cast<u32>(cpu); };
  const auto count = std::ranges::count_if(entries_, shown);
  std::string out = "# tracer: nop\n#\n";
  if (on("context-info", true) && !on("verbose", false)) {
    const bool tgid = on("record-tgid", false);
    const std::string_view more = tgid ? "          " : "";
    out += fmt::format("# entries-in-buffer/entries-written: {}/{}   #P:{}\n#\n", count,
                       static_cast<u64>(count) + lost_, cpus);
    const bool irq = on("irq-info", true);
    if (irq) {
      for (const char* row : {"_-----=> irqs-off/BH-disabled", "/ _----=> need-resched", "| / _---=> hardirq/softirq",
                              "|| / _--=> preempt-depth", "||| / _-=> migrate-disable", "|||| /     delay"}) {
        const size_t indent = row[0] == '_' ? 32 : row[0] == '/' ? 31 : 30;
        out += fmt::format("#{:{}}{}{}\n", "", indent, more, row);
      }
    }
    out += fmt::format("#           TASK-PID    {} CPU#  {}  TIMESTAMP  FUNCTION\n", tgid ? "   TGID   " : "",
                       irq ? "|||||" : " ");
    out += fmt::format("#              | |      {}   |   {}     |         |\n", tgid ? "     |    " : "",
                       irq ? "|||||" : " ");
  }
  for (const Entry& entry : entries_) {
    if (shown(entry)) out += line(entry);
  }
  return out;
}

void TraceLog::clear(int cpu) {
  std::erase_if(entries_, [=](const Entry& entry) { return cpu < 0 || entry.cpu == static_cast<u32>(cpu); });
  lost_ = size_ = 0;
  for (const Entry& entry : entries_) size_ += entry.size();
}

Result<void> TraceLog::resize(u64 kilobytes) {
  if (kilobytes == 0) return fail(EINVAL);
  if (kilobytes > kLargest) return fail(ENOMEM);
  const u64 pages = std::max<u64>((kilobytes * 1024 + kBufferPage - 1) / kBufferPage, 2);
  kilobytes_ = pages * kBufferPage / 1024;
  expanded_ = true;
  return {};
}

std::string TraceLog::size_text(u32 cpus) const {
  constexpr u64 kBegun = 7, kWanted = 1408;  // the buffer has whole pages
  if (!expanded_) return fmt::format("{} (expanded: {})\n", kBegun * cpus, kWanted * cpus);
  return fmt::format("{}\n", kilobytes_ * cpus);
}

}  // namespace bpfemu
