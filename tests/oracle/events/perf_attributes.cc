// SPDX-License-Identifier: Apache-2.0
// What perf_event_open() refuses, and in which order it looks.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/oracle/events/perf.h"
#include "tests/oracle/events/steps.h"

namespace events {
namespace {

const std::string kEnter = "syscalls:sys_enter_getppid", kFunction = "do_sys_openat2", kProbed = "probed_failure";

void ask(const std::string& question, const perf_event_attr& attr, pid_t pid = 0, int cpu = -1, int group = -1,
         u64 flags = PERF_FLAG_FD_CLOEXEC) {
  const Perf event(attr, pid, cpu, group, flags);
  answer("attributes " + question, event.opened() ? 0 : event.fd());
}

// Every bit and some values of a member, in a tracepoint's event and in a counter's.
template <class Change>
void ask_values(const std::string& name, std::initializer_list<u64> values, Change change) {
  for (const u64 value : values)
    for (const bool traces : {true, false}) {
      perf_event_attr attr = traces ? perf_attr(kTracepoint, kEnter) : software_attr(PERF_COUNT_SW_DUMMY);
      change(attr, value);
      char text[32];
      snprintf(text, sizeof text, " %#lx", value);
      ask(name + text + (traces ? " of a tracepoint" : " of a counter"), attr);
    }
}

void ask_sizes() {
  char room[8192] = {};
  for (const bool dirty : {false, true})
    for (const u32 size : {0, 1, 8, 63, 64, 72, 79, 80, 96, 104, 112, 120, 127, 128, 129, 136, 4095, 4096, 4097}) {
      perf_event_attr attr = perf_attr(kTracepoint, kEnter);
      memset(room, 0, sizeof room);
      if (dirty) memset(room + sizeof attr, 0xff, sizeof room - sizeof attr);
      attr.size = size;
      memcpy(room, &attr, sizeof attr);
      const long fd = syscall(SYS_perf_event_open, room, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
      const int error = errno;
      memcpy(&attr, room, sizeof attr);
      if (fd >= 0) close(static_cast<int>(fd));
      answer("attributes size " + std::to_string(size) + (dirty ? " and more" : ""),
             (fd < 0 ? errno_text(-error) : "0") + ", size then " + std::to_string(attr.size));
    }
  const auto failed = [](long result) { return result < 0 ? -errno : 0; };
  answer("attributes null", failed(syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0)));
  answer("attributes kernel address", failed(syscall(SYS_perf_event_open, ~u64{0} << 20, 0, -1, -1, 0)));
  auto* const pages =
      static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(pages + 4096, 4096, PROT_NONE);
  perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  attr.size = sizeof attr;
  memcpy(pages + 4096 - 64, &attr, 64);
  answer("attributes cut off", failed(syscall(SYS_perf_event_open, pages + 4096 - 64, 0, -1, -1, 0)));
  munmap(pages, 8192);
}

void ask_members() {
  using Attr = perf_event_attr;
  ask_values("sample_type", {1ULL << 0, 1 << 1,  1 << 2,  1 << 3,  1 << 4,  1 << 5,     1 << 6,    1 << 7,
                             1 << 8,    1 << 9,  1 << 10, 1 << 14, 1 << 15, 1 << 16,    1 << 17,   1 << 19,
                             1 << 21,   1 << 22, 1 << 24, 1 << 25, 1 << 26, 1ULL << 31, 1ULL << 63},
             [](Attr& a, u64 v) { a.sample_type = v; });
  ask_values("read_format", {1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1ULL << 63},
             [](Attr& a, u64 v) { a.read_format = v; });
  ask_values("type", {100, ~0U}, [](Attr& a, u64 v) { a.type = static_cast<u32>(v); });
  ask_values("config", {12, 1U << 31, 1ULL << 32, 100'000, ~0ULL}, [](Attr& a, u64 v) { a.config = v; });
  ask_values("sample_period", {1, 1ULL << 62, 1ULL << 63, ~0ULL}, [](Attr& a, u64 v) { a.sample_period = v; });
  ask_values("sample_freq", {0, 1, 99'999, 100'001, 1ULL << 63}, [](Attr& a, u64 v) { a.freq = 1, a.sample_freq = v; });
  ask_values("sample_regs_user", {0, 1, 1 << 12, 0xff0fff, 0xffffff, 1ULL << 24, 1ULL << 32, ~0ULL},
             [](Attr& a, u64 v) { a.sample_type = PERF_SAMPLE_REGS_USER, a.sample_regs_user = v; });
  ask_values("sample_stack_user", {0, 4, 8, 4096, 65528, 65535, 65536, ~0U},
             [](Attr& a, u64 v) { a.sample_type = PERF_SAMPLE_STACK_USER, a.sample_stack_user = static_cast<u32>(v); });
  ask_values("branch_sample_type", {0, 1, 8, 1 << 20, 1 << 18, 1ULL << 63},
             [](Attr& a, u64 v) { a.sample_type = PERF_SAMPLE_BRANCH_STACK, a.branch_sample_type = v; });
  ask_values("sample_max_stack", {1, 127, 128, 65535}, [](Attr& a, u64 v) {
    a.sample_type = PERF_SAMPLE_CALLCHAIN;
    a.sample_max_stack = static_cast<u16>(v);
  });
  ask_values("clockid", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, ~0U},
             [](Attr& a, u64 v) { a.use_clockid = 1, a.clockid = static_cast<int>(v); });
  ask_values("weights", {1 << 14 | 1 << 24}, [](Attr& a, u64 v) { a.sample_type = v; });
  ask_values("reserved_1", {1}, [](Attr& a, u64) { a.__reserved_1 = 1; });
  ask_values("reserved_2", {1}, [](Attr& a, u64) { a.__reserved_2 = 1; });
  ask_values("reserved_3", {1}, [](Attr& a, u64) { a.__reserved_3 = 1; });
  ask_values("inherit_thread alone", {1}, [](Attr& a, u64) { a.inherit_thread = 1; });
  ask_values("remove and enable on exec", {1}, [](Attr& a, u64) { a.remove_on_exec = a.enable_on_exec = 1; });
  ask_values("sigtrap alone", {1}, [](Attr& a, u64) { a.sigtrap = 1; });
  ask_values("inherit and READ", {1}, [](Attr& a, u64) { a.inherit = 1, a.sample_type = PERF_SAMPLE_READ; });
  ask_values("precise_ip", {1, 2, 3}, [](Attr& a, u64 v) { a.precise_ip = v & 3; });
  ask_values("aux_output", {1}, [](Attr& a, u64) { a.aux_output = 1; });
  ask_values("aux_watermark", {1}, [](Attr& a, u64 v) { a.aux_watermark = static_cast<u32>(v); });
  ask_values("aux_sample_size", {1, 8}, [](Attr& a, u64 v) { a.aux_sample_size = static_cast<u32>(v); });
  ask_values("wakeup_watermark", {0, 1, ~0U},
             [](Attr& a, u64 v) { a.watermark = 1, a.wakeup_watermark = static_cast<u32>(v); });
  ask_values("write_backward", {1}, [](Attr& a, u64) { a.write_backward = 1; });
}

void ask_targets() {
  const perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  ask("pid -1, CPU -1", attr, -1, -1);
  ask("pid -1, CPU 0", attr, -1, 0);
  ask("pid -2", attr, -2, 0);
  ask("CPU -2", attr, 0, -2);
  ask("CPU 100000", attr, 0, 100'000);
  ask("all tasks, CPU 100000", attr, -1, 100'000);
  ask("no such pid", attr, 0x3fffff);
  for (const u64 flag : {1, 2, 4, 8, 16, 32}) {
    ask("flag " + std::to_string(flag), attr, 0, -1, -1, flag);
    ask("flag " + std::to_string(flag) + ", bad pid", attr, -2, -1, -1, flag);
  }
  ask("a cgroup that is none", attr, STDOUT_FILENO, 0, -1, PERF_FLAG_PID_CGROUP);
  ask("a cgroup that is not open", attr, 1000, 0, -1, PERF_FLAG_PID_CGROUP);
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  ask("a zombie", attr, child);
  waitpid(child, nullptr, 0);
  ask("one that is gone", attr, child);
}

void ask_probes() {
  for (const Way way : {kKprobe, kKretprobe}) {
    const std::string question = std::string(name_of(way)) + " ";
    for (const char* symbol : {"do_sys_openat2", "no_such_function", "", "do_int3", "jiffies", "vfs_read"}) {
      const std::string target = symbol;
      perf_event_attr attr = perf_attr(way, target);
      ask(question + "of '" + symbol + "'", attr);
      if (!target.empty() && target != "jiffies") {
        attr.probe_offset = 1;
        ask(question + "inside '" + symbol + "'", attr);
        attr.probe_offset = 1 << 24;
        ask(question + "far behind '" + symbol + "'", attr);
      }
    }
    perf_event_attr attr = perf_attr(way, kFunction);
    attr.kprobe_func = 8;
    ask(question + "of a name nowhere", attr);
    static const std::string long_name(600, 'x');
    attr.kprobe_func = reinterpret_cast<u64>(long_name.c_str());
    ask(question + "of a long name", attr);
    attr.kprobe_func = 0;
    attr.kprobe_addr = 0;
    ask(question + "of nothing", attr);
    attr.kprobe_addr = 4096;
    ask(question + "of a user address", attr);
    attr = perf_attr(way, kFunction);
    attr.config |= 2;
    ask(question + "with another bit", attr);
  }
  for (const Way way : {kUprobe, kUretprobe}) {
    const std::string question = std::string(name_of(way)) + " ";
    const perf_event_attr good = perf_attr(way, kProbed);
    const auto of_path = [&](const char* name, u64 path) {
      perf_event_attr attr = good;
      attr.uprobe_path = path;
      ask(question + "of " + name, attr);
    };
    of_path("no path", 0);
    of_path("a path nowhere", 8);
    of_path("an empty path", reinterpret_cast<u64>(""));
    of_path("a missing file", reinterpret_cast<u64>("/no/such/file"));
    of_path("a folder", reinterpret_cast<u64>("/"));
    of_path("a device", reinterpret_cast<u64>("/dev/null"));
    static const std::string long_path(5000, 'x');
    of_path("a long path", reinterpret_cast<u64>(long_path.c_str()));
    perf_event_attr attr = good;
    attr.probe_offset = 1ULL << 40;
    ask(question + "behind the file's end", attr);
    attr = good;
    attr.config |= 2;
    ask(question + "with another bit", attr);
    attr = good;
    attr.config |= 3ULL << 32;
    ask(question + "with an odd reference counter", attr);
  }
  for (const u64 id : {2, 3, 4, 6}) {
    perf_event_attr attr = perf_attr(kTracepoint, kEnter);
    attr.config = id;
    ask("the tracer's own event " + std::to_string(id), attr);
  }
}

}  // namespace

void ask_attributes() {
  ask_sizes();
  ask_members();
  ask_targets();
  ask_probes();
}

}  // namespace events
