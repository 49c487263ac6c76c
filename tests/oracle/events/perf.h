// SPDX-License-Identifier: Apache-2.0
// Perf events without programs: what they count and what they record. Each question is a line "question: answer".
#pragma once

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include <ctime>
#include <utility>

#include "tests/oracle/events/events.h"

namespace events {

// The event that a row is attached by. `target` must stay as long as the attributes are used.
perf_event_attr perf_attr(Way way, const std::string& target);
perf_event_attr software_attr(u64 config);

// A perf event's descriptor, or -errno.
class Perf {
 public:
  Perf() = default;
  explicit Perf(perf_event_attr attr, pid_t pid = 0, int cpu = -1, int group = -1, u64 flags = PERF_FLAG_FD_CLOEXEC);
  Perf(Perf&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Perf& operator=(Perf&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Perf() { close(); }

  void close();
  int fd() const { return fd_; }
  bool opened() const { return fd_ >= 0; }
  // 0 or what the call returned, or -errno.
  s64 control(u64 command, u64 argument = 0) const;
  void enable() const { control(PERF_EVENT_IOC_ENABLE); }
  void disable() const { control(PERF_EVENT_IOC_DISABLE); }
  // The words that a read() of `size` bytes gives; none, with errno, when it fails.
  std::vector<u64> words(size_t size = 4096) const;
  // The first of them, or -errno.
  s64 count() const;

 private:
  int fd_ = -1;
};

// "5", "-EINVAL".
std::string number_text(s64 value);
void answer(const std::string& question, const std::string& text);
inline void answer(const std::string& question, s64 value) {
  answer(question, number_text(value));
}

// What can be counted: calls that nothing but their number is asked of, and a function of this program.
void get_parent(int times);
void call_probed(int times);
// Runs `work` in a child, and waits for it.
void in_child(void (*work)());
void in_thread(void (*work)());
// Stays on a CPU, where an event that counts on one finds it.
void stay_on_cpu0();

// The questions, a file each.
void ask_counts();
void ask_families();
void ask_groups();
void ask_controls();
void ask_filters();
void ask_attributes();
// All of these, or those of one name.
void ask_all_counting(const std::string& only);
// What they record: samples, and what goes between them.
void ask_samples();
void ask_buffers();
void ask_sideband();
void ask_all_sampling(const std::string& only);

}  // namespace events
