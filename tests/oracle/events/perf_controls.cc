// SPDX-License-Identifier: Apache-2.0
// ioctl() of each kind of event, and what it changes.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "tests/oracle/events/perf.h"
#include "tests/oracle/events/steps.h"

namespace events {
namespace {

const std::string kEnter = "syscalls:sys_enter_getppid", kFunction = "do_sys_openat2", kProbed = "probed_failure";

struct Subject {
  const char* name;
  perf_event_attr attr;
};

std::vector<Subject> subjects() {
  perf_event_attr sampled = perf_attr(kTracepoint, kEnter);
  sampled.sample_period = 2;
  perf_event_attr frequent = sampled;
  frequent.freq = 1;
  perf_event_attr inherited = sampled;
  inherited.inherit = 1;
  return {{"tracepoint", perf_attr(kTracepoint, kEnter)},
          {"sampled tracepoint", sampled},
          {"frequency", frequent},
          {"inherited", inherited},
          {"kprobe", perf_attr(kKprobe, kFunction)},
          {"kretprobe", perf_attr(kKretprobe, kFunction)},
          {"uprobe", perf_attr(kUprobe, kProbed)},
          {"dummy", software_attr(PERF_COUNT_SW_DUMMY)},
          {"bpf-output", software_attr(PERF_COUNT_SW_BPF_OUTPUT)},
          {"task-clock", software_attr(PERF_COUNT_SW_TASK_CLOCK)}};
}

void ask_each() {
  static const u64 one = 1, none = 0, huge = u64{1} << 63, much = 100'001;
  const auto at = [](const auto& value) { return reinterpret_cast<u64>(&value); };
  static u64 room[8];
  static perf_event_attr same = perf_attr(kTracepoint, kEnter);
  same.size = sizeof same;
  const struct {
    const char* name;
    u64 command, argument;
  } requests[] = {
      {"ENABLE", PERF_EVENT_IOC_ENABLE, 0},
      {"ENABLE 2", PERF_EVENT_IOC_ENABLE, 2},
      {"ENABLE group", PERF_EVENT_IOC_ENABLE, 1},
      {"DISABLE", PERF_EVENT_IOC_DISABLE, 0},
      {"RESET", PERF_EVENT_IOC_RESET, 0},
      {"REFRESH 0", PERF_EVENT_IOC_REFRESH, 0},
      {"REFRESH 1", PERF_EVENT_IOC_REFRESH, 1},
      {"REFRESH -1", PERF_EVENT_IOC_REFRESH, ~u64{0}},
      {"PERIOD 1", PERF_EVENT_IOC_PERIOD, at(one)},
      {"PERIOD 0", PERF_EVENT_IOC_PERIOD, at(none)},
      {"PERIOD huge", PERF_EVENT_IOC_PERIOD, at(huge)},
      {"PERIOD 100001", PERF_EVENT_IOC_PERIOD, at(much)},
      {"PERIOD null", PERF_EVENT_IOC_PERIOD, 0},
      {"ID", PERF_EVENT_IOC_ID, reinterpret_cast<u64>(room)},
      {"ID null", PERF_EVENT_IOC_ID, 0},
      {"SET_OUTPUT -1", PERF_EVENT_IOC_SET_OUTPUT, ~u64{0}},
      {"SET_OUTPUT to no file", PERF_EVENT_IOC_SET_OUTPUT, 1000},
      {"SET_OUTPUT to no event", PERF_EVENT_IOC_SET_OUTPUT, STDOUT_FILENO},
      {"SET_FILTER", PERF_EVENT_IOC_SET_FILTER, reinterpret_cast<u64>("common_pid != 1")},
      {"SET_FILTER again", PERF_EVENT_IOC_SET_FILTER, reinterpret_cast<u64>("common_pid != 1")},
      {"SET_FILTER null", PERF_EVENT_IOC_SET_FILTER, 0},
      {"SET_BPF to no file", PERF_EVENT_IOC_SET_BPF, 1000},
      {"SET_BPF to no program", PERF_EVENT_IOC_SET_BPF, STDOUT_FILENO},
      {"PAUSE_OUTPUT 1", PERF_EVENT_IOC_PAUSE_OUTPUT, 1},
      {"QUERY_BPF", PERF_EVENT_IOC_QUERY_BPF, reinterpret_cast<u64>(room)},
      {"QUERY_BPF null", PERF_EVENT_IOC_QUERY_BPF, 0},
      {"MODIFY_ATTRIBUTES", PERF_EVENT_IOC_MODIFY_ATTRIBUTES, at(same)},
      {"MODIFY_ATTRIBUTES null", PERF_EVENT_IOC_MODIFY_ATTRIBUTES, 0},
      {"of a terminal", 0x5401, 0},
  };
  for (const Subject& subject : subjects()) {
    const Perf event(subject.attr);
    for (const auto& request : requests) {
      for (u64& word : room) word = 0;
      answer(std::string("controls ") + subject.name + " " + request.name,
             event.control(request.command, request.argument));
    }
  }
}

// PERF_EVENT_IOC_REFRESH: so many overflows, then it is disabled.
void ask_limits() {
  perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  attr.disabled = 1;
  attr.sample_period = 3;
  const Perf event(attr);
  const auto ask = [&](const char* what) { answer(std::string("controls limit ") + what, event.count()); };
  event.control(PERF_EVENT_IOC_REFRESH, 2);
  get_parent(20);
  ask("of two overflows");
  event.control(PERF_EVENT_IOC_REFRESH, 1);
  get_parent(20);
  ask("of one more");
  event.enable();
  get_parent(20);
  ask("none, enabled");
  event.control(PERF_EVENT_IOC_REFRESH, 0);
  get_parent(20);
  ask("of 0");
  const u64 period = 10;
  event.disable();
  event.control(PERF_EVENT_IOC_PERIOD, reinterpret_cast<u64>(&period));
  event.control(PERF_EVENT_IOC_REFRESH, 2);
  get_parent(50);
  ask("with a longer period");
}

// A signal an overflow, for those that ask for it.
volatile int signals, last_fd, last_code;

void ask_signals() {
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    signals = signals + 1;
    last_fd = info->si_fd;
    last_code = info->si_code;
  };
  sigaction(SIGUSR2, &action, nullptr);
  perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  attr.disabled = 1;
  attr.sample_period = 2;
  attr.wakeup_events = 1;
  const Perf event(attr);
  void* const ring = mmap(nullptr, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, event.fd(), 0);
  answer("controls signals mapped", ring != MAP_FAILED);
  answer("controls signals F_SETOWN", fcntl(event.fd(), F_SETOWN, getpid()));
  answer("controls signals F_SETSIG", fcntl(event.fd(), F_SETSIG, SIGUSR2));
  answer("controls signals O_ASYNC", fcntl(event.fd(), F_SETFL, fcntl(event.fd(), F_GETFL) | O_ASYNC));
  event.enable();
  get_parent(6);
  event.disable();
  answer("controls signals", signals);
  answer("controls signals own descriptor", signals ? last_fd == event.fd() : -1);
  answer("controls signals code", last_code);
  event.control(PERF_EVENT_IOC_REFRESH, 1);
  get_parent(6);
  answer("controls signals with a limit", signals);
  munmap(ring, 2 * 4096);
}

void ask_mappings() {
  perf_event_attr attr = perf_attr(kTracepoint, kEnter), inherited = attr;
  inherited.inherit = 1;
  const struct {
    const char* name;
    size_t pages;
    int protection, flags;
    off_t offset;
  } maps[] = {
      {"3 pages", 3, PROT_READ | PROT_WRITE, MAP_SHARED, 0},
      {"private", 2, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0},
      {"offset", 2, PROT_READ | PROT_WRITE, MAP_SHARED, 4096},
      {"half a page", 0, PROT_READ | PROT_WRITE, MAP_SHARED, 0},
      {"1 page", 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0},
      {"2 pages", 2, PROT_READ | PROT_WRITE, MAP_SHARED, 0},
      {"again", 2, PROT_READ | PROT_WRITE, MAP_SHARED, 0},
      {"again, larger", 5, PROT_READ | PROT_WRITE, MAP_SHARED, 0},
      {"again, read-only", 2, PROT_READ, MAP_SHARED, 0},
      {"executable", 2, PROT_READ | PROT_EXEC, MAP_SHARED, 0},
      {"aux", 2, PROT_READ | PROT_WRITE, MAP_SHARED, 16 * 4096},
  };
  const auto result = [](void* at, size_t pages) -> s64 {
    if (at == MAP_FAILED) return -errno;
    munmap(at, pages * 4096);
    return 0;
  };
  for (const auto& map : maps) {
    const size_t size = map.pages ? map.pages * 4096 : 2048;
    {
      const Perf event(attr);
      answer(std::string("controls mmap ") + map.name,
             result(mmap(nullptr, size, map.protection, map.flags, event.fd(), map.offset), map.pages));
    }
    const Perf other(inherited), on_cpu(inherited, 0, 0);
    answer(std::string("controls mmap inherited ") + map.name,
           result(mmap(nullptr, size, map.protection, map.flags, other.fd(), map.offset), map.pages));
    answer(std::string("controls mmap inherited on CPU 0 ") + map.name,
           result(mmap(nullptr, size, map.protection, map.flags, on_cpu.fd(), map.offset), map.pages));
  }
}

void ask_outputs() {
  const perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  perf_event_attr clocked = attr, backward = attr;
  clocked.use_clockid = 1;
  clocked.clockid = CLOCK_MONOTONIC;
  backward.write_backward = 1;
  const Perf mapped(attr), plain(attr), other_clock(clocked), downward(backward), on_cpu(attr, 0, 0), all(attr, -1, 0);
  void* const ring = mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped.fd(), 0);
  const auto to = [](const Perf& from, const Perf& output) {
    return from.control(PERF_EVENT_IOC_SET_OUTPUT, static_cast<u64>(output.fd()));
  };
  answer("controls output to itself", to(plain, plain));
  answer("controls output to an unmapped", to(plain, on_cpu));
  answer("controls output to a mapped", to(plain, mapped));
  answer("controls output of a mapped", to(mapped, plain));
  answer("controls output of another clock", to(other_clock, mapped));
  answer("controls output downward", to(downward, mapped));
  answer("controls output on a CPU", to(on_cpu, mapped));
  answer("controls output of all tasks", to(all, mapped));
  answer("controls output of one that shows another's", to(Perf(attr), plain));
  answer("controls output pause", plain.control(PERF_EVENT_IOC_PAUSE_OUTPUT, 1));
  answer("controls output pause of the mapped", mapped.control(PERF_EVENT_IOC_PAUSE_OUTPUT, 0));
  void* const second = mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, plain.fd(), 0);
  answer("controls output mapped too", second == MAP_FAILED ? -errno : 0);
  answer("controls output of one that was mapped", to(plain, mapped));
  answer("controls output none", mapped.control(PERF_EVENT_IOC_SET_OUTPUT, ~u64{0}));
  munmap(ring, 3 * 4096);
  answer("controls output none, unmapped", mapped.control(PERF_EVENT_IOC_SET_OUTPUT, ~u64{0}));
}

}  // namespace

void ask_controls() {
  ask_each();
  ask_limits();
  ask_signals();
  ask_mappings();
  ask_outputs();
}

}  // namespace events
