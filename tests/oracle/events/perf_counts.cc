// SPDX-License-Identifier: Apache-2.0
// How often each kind of event counts the same work, with what its attributes leave out.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "tests/oracle/events/perf.h"
#include "tests/oracle/events/steps.h"

namespace events {
namespace {

struct Kind {
  Way way;
  const char* target;
};
constexpr Kind kKinds[] = {
    {kTracepoint, "raw_syscalls:sys_enter"},
    {kTracepoint, "raw_syscalls:sys_exit"},
    {kTracepoint, "syscalls:sys_enter_getppid"},
    {kTracepoint, "syscalls:sys_exit_getppid"},
    {kTracepoint, "syscalls:sys_enter_openat"},
    {kTracepoint, "sched:sched_process_fork"},
    {kTracepoint, "sched:sched_process_exec"},
    {kTracepoint, "sched:sched_process_exit"},
    {kTracepoint, "sched:sched_wakeup_new"},
    {kTracepoint, "task:task_newtask"},
    {kTracepoint, "task:task_rename"},
    {kTracepoint, "signal:signal_generate"},
    {kKprobe, "__x64_sys_getppid"},
    {kKretprobe, "__x64_sys_getppid"},
    {kKprobe, "do_sys_openat2"},
    {kKretprobe, "do_sys_openat2"},
    {kKprobe, "vfs_write"},
    {kKretprobe, "vfs_write"},
    {kKprobe, "__x64_sys_kill"},
    {kUprobe, "probed_failure"},
    {kUretprobe, "probed_failure"},
};

struct Variant {
  const char* name;
  void (*apply)(perf_event_attr&);
};
constexpr Variant kVariants[] = {
    {"alone", [](perf_event_attr&) {}},
    {"inherit", [](perf_event_attr& a) { a.inherit = 1; }},
    {"inherit_thread", [](perf_event_attr& a) { a.inherit = a.inherit_thread = 1; }},
    {"exclude_user", [](perf_event_attr& a) { a.exclude_user = 1; }},
    {"exclude_kernel", [](perf_event_attr& a) { a.exclude_kernel = 1; }},
    {"exclude_hv and idle", [](perf_event_attr& a) { a.exclude_hv = a.exclude_idle = 1; }},
    {"exclude_host", [](perf_event_attr& a) { a.exclude_host = 1; }},
    {"exclude_guest", [](perf_event_attr& a) { a.exclude_guest = 1; }},
    {"pinned", [](perf_event_attr& a) { a.pinned = 1; }},
    {"exclusive", [](perf_event_attr& a) { a.exclusive = 1; }},
    {"period 1", [](perf_event_attr& a) { a.sample_period = 1; }},
    {"period 3", [](perf_event_attr& a) { a.sample_period = 3; }},
    {"frequency", [](perf_event_attr& a) { a.freq = 1, a.sample_freq = 100; }},
};

void in_the_child() {
  get_parent(5);
  call_probed(2);
  prctl(PR_SET_NAME, "renamed");
}

// What all kinds count a part of.
void work() {
  get_parent(3);
  for (int i = 0; i < 2; ++i) close(static_cast<int>(call(SYS_openat, AT_FDCWD, ".", O_RDONLY, 0)));
  call(SYS_openat, AT_FDCWD, "", O_RDONLY, 0);
  int ends[2];
  need(pipe(ends) == 0 && write(ends[1], "x", 1) == 1, "a pipe");
  close(ends[0]);
  close(ends[1]);
  call_probed(4);
  in_child(in_the_child);
  in_thread([] { get_parent(7); });
  kill(getpid(), SIGUSR1);
}

s64 count_work(const perf_event_attr& attr, pid_t pid, int cpu) {
  const Perf event(attr, pid, cpu);
  if (!event.opened()) return event.fd();
  event.enable();
  work();
  event.disable();
  return event.count();
}

void touch_pages(int pages) {
  const size_t size = static_cast<size_t>(pages) * 4096;
  auto* area = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  need(area != MAP_FAILED && madvise(area, size, MADV_NOHUGEPAGE) == 0, "memory");
  for (size_t at = 0; at < size; at += 4096) area[at] = 1;
  munmap(area, size);
}

// Faults of nothing but the pages touched: everything else was touched before.
void ask_software() {
  constexpr std::pair<const char*, u64> kEvents[] = {
      {"page-faults", PERF_COUNT_SW_PAGE_FAULTS},
      {"minor-faults", PERF_COUNT_SW_PAGE_FAULTS_MIN},
      {"major-faults", PERF_COUNT_SW_PAGE_FAULTS_MAJ},
      {"alignment-faults", PERF_COUNT_SW_ALIGNMENT_FAULTS},
      {"emulation-faults", PERF_COUNT_SW_EMULATION_FAULTS},
      {"dummy", PERF_COUNT_SW_DUMMY},
      {"cgroup-switches", PERF_COUNT_SW_CGROUP_SWITCHES},
      {"bpf-output", PERF_COUNT_SW_BPF_OUTPUT},
  };
  for (const auto& [name, config] : kEvents)
    for (const Variant& variant : kVariants) {
      perf_event_attr attr = software_attr(config);
      // Where faults are sampled is not known, which says so.
      variant.apply(attr);
      if (attr.sample_period) continue;
      attr.disabled = 1;
      touch_pages(16);
      const Perf event(attr);
      event.count();
      event.enable();
      touch_pages(16);
      event.disable();
      answer(std::string("count software ") + name + " " + variant.name, event.count());
    }
}

// The scheduler is the kernel's, whoever it switches.
void ask_scheduler() {
  for (const auto& [name, config] : {std::pair("context-switches", PERF_COUNT_SW_CONTEXT_SWITCHES),
                                     std::pair("cpu-migrations", PERF_COUNT_SW_CPU_MIGRATIONS)}) {
    perf_event_attr attr = software_attr(config);
    attr.exclude_kernel = 1;
    answer(std::string("count software ") + name + " exclude_kernel", count_work(attr, 0, -1));
  }
}

void ask_kinds() {
  for (const Kind& kind : kKinds) {
    const std::string target = kind.target, question = std::string("count ") + name_of(kind.way) + " " + target + " ";
    perf_event_attr plain = perf_attr(kind.way, target);
    plain.disabled = 1;
    for (const Variant& variant : kVariants) {
      perf_event_attr attr = plain;
      variant.apply(attr);
      // Whether a child's probe of its own counts depends on whom the kernel switched to when (context_equiv).
      if (attr.inherit && kind.way & (kUprobe | kUretprobe)) continue;
      answer(question + variant.name, count_work(attr, 0, -1));
    }
    answer(question + "on CPU 0", count_work(plain, 0, 0));
  }
  // What nobody else does meanwhile is counted in all tasks.
  for (const char* target : {"syscalls:sys_enter_getppid", "syscalls:sys_exit_getppid"})
    for (const bool kernel_too : {true, false}) {
      perf_event_attr attr = perf_attr(kTracepoint, target);
      attr.disabled = 1;
      attr.exclude_kernel = !kernel_too;
      answer(std::string("count all tasks ") + target + (kernel_too ? "" : " exclude_kernel"), count_work(attr, -1, 0));
    }
}

}  // namespace

void ask_counts() {
  signal(SIGUSR1, [](int) {});
  work();
  ask_kinds();
  ask_software();
  ask_scheduler();
}

}  // namespace events
