// SPDX-License-Identifier: Apache-2.0
// PERF_EVENT_IOC_SET_FILTER: what passes of a known series of events, and what is no filter.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "tests/oracle/events/perf.h"
#include "tests/oracle/events/steps.h"

namespace events {
namespace {

void calls_of_open() {
  for (int flags : {O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_CLOEXEC, O_RDWR | O_APPEND})
    close(static_cast<int>(call(SYS_openat, AT_FDCWD, "/dev/null", flags, 0)));
  call(SYS_openat, -1, "missing", O_RDONLY, 0777);
  call(SYS_openat, 1000, "missing", O_RDONLY, 0700);
}

void renames() {
  for (const char* name : {"first", "second", "third one", "fir*t", "workload"}) prctl(PR_SET_NAME, name);
}

void signals() {
  for (const int number : {SIGUSR1, SIGUSR2, SIGURG, SIGCHLD, SIGUSR1}) kill(getpid(), number);
}

void probed() {
  call_probed(6);
}

struct Series {
  Way way;
  const char* target;
  void (*run)();
  std::vector<const char*> filters;
};

const std::vector<Series>& all_series() {
  static const std::vector<Series> series = {
      {kTracepoint,
       "syscalls:sys_enter_openat",
       calls_of_open,
       {"flags == 0",
        "flags != 0",
        "flags == 0 || flags == 1",
        "flags > 1",
        "flags >= 1",
        "flags < 2",
        "flags <= 2",
        "flags & 1",
        "flags & 0x80000",
        "dfd == -100",
        "dfd == 1000",
        "dfd == 4294967196",
        "dfd < 0",
        "dfd == 0xffffff9c",
        "dfd == -1",
        "mode == 0777",
        "mode == 511",
        "mode == 0x1ff",
        "!(flags == 0)",
        "!flags",
        "!flags == 0",
        "flags == 0 && dfd == -100",
        "flags == 0 && (dfd == 1000 || mode == 511)",
        "flags == 0 || flags == 2 && dfd == 5",
        "(flags == 0)",
        "((flags == 0))",
        "(flags == 0",
        "flags == 0)",
        "flags",
        "flags ==",
        "== 0",
        "flags = 0",
        "flags === 0",
        "flags == x",
        "flags == 1x",
        "flags == \"0\"",
        "flags ~ 0",
        "nosuch == 0",
        "flags == 0 &&",
        "flags == 0 & dfd == 0",
        "flags == 0 flags == 1",
        "flags == 18446744073709551616",
        "flags == 18446744073709551615",
        "flags == -1",
        "filename == 0",
        "filename != 0",
        "filename ~ \"/dev/*\"",
        "filename.ustring == \"/dev/null\"",
        "filename.ustring ~ \"*null\"",
        "filename.ustring != \"missing\"",
        "flags.ustring == \"x\"",
        "common_type == 1",
        "common_pid == 0",
        "common_pid != 0",
        "common_flags == 0",
        "common_preempt_count == 0",
        "__syscall_nr == 257",
        "__syscall_nr == 2",
        "COMM == \"workload\"",
        "comm == \"workload\"",
        "comm ~ \"w*d\"",
        "comm ~ \"*oad\"",
        "comm ~ \"*\"",
        "comm != \"workload\"",
        "CPU >= 0",
        "CPU == 99",
        "cpu >= 0",
        "stacktrace == 1",
        "",
        " ",
        "0",
        "1",
        "none",
        " flags == 0 ",
        "flags==0",
        "flags==0||flags==2",
        "flags == 0 or flags == 2",
        "flags && dfd",
        "&& flags == 0",
        "!",
        "!!flags == 0",
        "flags == 0;",
        "flags\t==\t0",
        "flags == 0\n"}},
      {kTracepoint,
       "task:task_rename",
       renames,
       {"newcomm == \"first\"",
        "newcomm != \"first\"",
        "newcomm ~ \"*r*\"",
        "newcomm ~ \"fi*\"",
        "newcomm ~ \"*one\"",
        "newcomm ~ \"*ir*\"",
        "newcomm ~ \"f*t\"",
        "newcomm ~ \"fir?t\"",
        "newcomm ~ \"fir[s]t\"",
        "newcomm ~ \"first\"",
        "newcomm !~ \"f*\"",
        "newcomm < \"first\"",
        "newcomm == first",
        "newcomm == 'first'",
        "newcomm == \"first",
        "newcomm == \"first'",
        "newcomm == \"third one\"",
        "newcomm == \"\"",
        "newcomm == 0",
        "newcomm & \"f\"",
        "newcomm == \"fir\" || oldcomm == \"first\"",
        "oldcomm == \"workload\"",
        "newcomm == \"workload\" && oldcomm ~ \"f*\"",
        "pid == 0",
        "pid > 0",
        "oom_score_adj == 0",
        "oom_score_adj > -1001",
        "oom_score_adj < 1",
        "!newcomm",
        "newcomm ~ \"fir*t\"",
        "newcomm ~ \"fir\\*t\"",
        "newcomm == \"fir*t\"",
        "newcomm ~ \"!f*\"",
        "newcomm ~ \"!first\""}},
      {kTracepoint,
       "signal:signal_generate",
       signals,
       {"sig == 10", "sig > 11", "sig >= 12 && sig <= 17", "code == 0", "group == 1", "result == 0", "result == 1",
        "errno == 0", "comm == \"workload\"", "comm ~ \"*oad\"", "sig & 1", "sig & 2", "sig == 10 || sig == 23",
        "!(sig == 10 || sig == 23)"}},
      {kTracepoint,
       "raw_syscalls:sys_enter",
       signals,
       {"id == 62", "id == 62 && args == 0", "args[1] == 10", "id > 60 && id < 63", "id == 0x3e", "id == 076"}},
      {kUprobe,
       "probed_failure",
       probed,
       {"common_pid != 0", "__probe_ip != 0", "__probe_ip == 0", "__probe_func != 0", "nosuch == 1", "arg1 == 1"}},
      {kUretprobe,
       "probed_failure",
       probed,
       {"common_pid == 0", "__probe_ret_ip != 0", "__probe_func != 0", "__probe_func == __probe_ret_ip",
        "__probe_ip != 0"}},
      {kKprobe,
       "do_sys_openat2",
       calls_of_open,
       {"__probe_ip != 0", "__probe_ip > 0xffffffff80000000", "common_type != 0", "x == 1"}},
      {kKretprobe, "do_sys_openat2", calls_of_open, {"__probe_ret_ip != 0", "__probe_func != 0", "__probe_ip != 0"}},
  };
  return series;
}

std::string shown(const std::string& filter) {
  std::string text = "'";
  for (const char byte : filter)
    text += byte == '\n' ? std::string("\\n") : byte == '\t' ? "\\t" : std::string(1, byte);
  return text + "'";
}

}  // namespace

void ask_filters() {
  prctl(PR_SET_NAME, "workload");
  for (const int number : {SIGUSR1, SIGUSR2, SIGURG, SIGCHLD}) signal(number, SIG_IGN);
  for (const Series& series : all_series()) {
    const std::string target = series.target,
                      question = std::string("filters ") + name_of(series.way) + " " + target + " ";
    perf_event_attr attr = perf_attr(series.way, target);
    attr.disabled = 1;
    series.run();
    for (const char* filter : series.filters) {
      const Perf event(attr);
      const s64 set =
          event.opened() ? event.control(PERF_EVENT_IOC_SET_FILTER, reinterpret_cast<u64>(filter)) : event.fd();
      event.enable();
      series.run();
      event.disable();
      answer(question + shown(filter),
             (set ? "refused " + number_text(set) + ", " : "") + "count " + number_text(event.count()));
    }
  }
}

}  // namespace events
