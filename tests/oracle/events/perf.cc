// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/events/perf.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <thread>

#include "tests/oracle/events/listener.h"
#include "tests/oracle/events/steps.h"

namespace events {

extern "C" int probed_failure(int number);

namespace {

u64 number_in(const std::string& path) {
  const std::string text = contents(path);
  return text.empty() ? 0 : std::stoull(text);
}

perf_event_attr probe(const char* type, bool at_return, u64 name, u64 offset) {
  perf_event_attr attr{};
  attr.type = static_cast<u32>(number_in(std::string("/sys/bus/event_source/devices/") + type + "/type"));
  attr.config = at_return;
  attr.config1 = name;
  attr.config2 = offset;
  return attr;
}

}  // namespace

perf_event_attr perf_attr(Way way, const std::string& target) {
  const u64 name = reinterpret_cast<u64>(target.c_str());
  static const char kSelf[] = "/proc/self/exe";
  const u64 self = reinterpret_cast<u64>(kSelf);
  switch (way) {
    case kKprobe: return probe("kprobe", false, name, 0);
    case kKretprobe: return probe("kprobe", true, name, 0);
    case kUprobe: return probe("uprobe", false, self, offset_in_file(target));
    case kUretprobe: return probe("uprobe", true, self, offset_in_file(target));
    case kUsdt: return probe("uprobe", false, self, offset_of_usdt(target));
    default: break;
  }
  std::string path = target;
  path[path.find(':')] = '/';
  perf_event_attr attr{};
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.config = number_in("/sys/kernel/tracing/events/" + path + "/id");
  return attr;
}

perf_event_attr software_attr(u64 config) {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = config;
  return attr;
}

Perf::Perf(perf_event_attr attr, pid_t pid, int cpu, int group, u64 flags) {
  if (attr.size == 0) attr.size = sizeof attr;
  const long result = syscall(SYS_perf_event_open, &attr, pid, cpu, group, flags);
  fd_ = result < 0 ? -errno : static_cast<int>(result);
}

void Perf::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

s64 Perf::control(u64 command, u64 argument) const {
  const int result = ioctl(fd_, command, argument);
  return result < 0 ? -errno : result;
}

std::vector<u64> Perf::words(size_t size) const {
  std::vector<u64> values(size / sizeof(u64) + 1);
  const ssize_t got = read(fd_, values.data(), size);
  values.resize(got < 0 ? 0 : static_cast<size_t>(got) / sizeof(u64));
  return values;
}

s64 Perf::count() const {
  if (fd_ < 0) return fd_;
  const std::vector<u64> values = words();
  return values.empty() ? -errno : static_cast<s64>(values[0]);
}

std::string number_text(s64 value) {
  return value < 0 && value >= -4095 ? errno_text(value) : std::to_string(value);
}

void answer(const std::string& question, const std::string& text) {
  printf("%s: %s\n", question.c_str(), text.c_str());
}

void get_parent(int times) {
  for (int i = 0; i < times; ++i) call(SYS_getppid);
}

void call_probed(int times) {
  for (int i = 0; i < times; ++i) probed_failure(i);
}

void in_child(void (*work)()) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  need(waitpid(child, nullptr, 0) == child, "a child");
}

void in_thread(void (*work)()) {
  std::thread(work).join();
}

void stay_on_cpu0() {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(0, &only);
  need(sched_setaffinity(0, sizeof only, &only) == 0, "the first CPU");
}

namespace {

struct Part {
  const char* name;
  void (*ask)();
};

void ask_parts(std::span<const Part> parts, const std::string& only) {
  stay_on_cpu0();
  for (const Part& part : parts)
    if (only.empty() || only == part.name) part.ask();
}

}  // namespace

void ask_all_counting(const std::string& only) {
  constexpr Part kParts[] = {{"counts", ask_counts},     {"families", ask_families}, {"groups", ask_groups},
                             {"controls", ask_controls}, {"filters", ask_filters},   {"attributes", ask_attributes}};
  ask_parts(kParts, only);
}

void ask_all_sampling(const std::string& only) {
  constexpr Part kParts[] = {{"samples", ask_samples}, {"buffers", ask_buffers}, {"sideband", ask_sideband}};
  ask_parts(kParts, only);
}

}  // namespace events
