// SPDX-License-Identifier: Apache-2.0
// What perf_event_open() lets whom have, by kernel.perf_event_paranoid and the caller's capabilities. As root on the claimed
// kernel it says the same; others are not asked, for the setting is the whole machine's.
#include <linux/capability.h>

#include "tracepoint.h"

enum { kNone = 0, kPerfmon = 1 << 0, kAdmin = 1 << 1 };

static const char kSetting[] = "/proc/sys/kernel/perf_event_paranoid";

static int set_paranoid(int value) {
  const int fd = open(kSetting, O_WRONLY);
  const int done = fd >= 0 && dprintf(fd, "%d", value) > 0;
  close(fd);
  return done;
}

static void keep(unsigned held) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0}};
  if (held & kPerfmon) data[CAP_PERFMON / 32].effective |= 1u << CAP_PERFMON % 32;
  if (held & kAdmin) data[CAP_SYS_ADMIN / 32].effective |= 1u << CAP_SYS_ADMIN % 32;
  for (int i = 0; i < 2; ++i) data[i].permitted = data[i].effective;
  CHECK(syscall(SYS_capset, &header, data) == 0);
}

// 0 or the errno.
static int try_event(struct perf_event_attr attr, pid_t pid, int cpu) {
  attr.size = sizeof attr;
  const int fd = syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

static void expect(const char* what, int paranoid, unsigned held, int got, int wanted) {
  if (got != wanted) printf("%s, paranoid %d, capabilities %u: errno %d, not %d is false\n", what, paranoid, held, got, wanted);
}

static void check(int paranoid, unsigned held, uint32_t call, uint32_t other, uint32_t kprobe, uint32_t uprobe) {
  const int perfmon = held != kNone, admin = held & kAdmin;
  const int closed = paranoid > 2 && !admin;
  const struct perf_event_attr dummy = {.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY, .exclude_kernel = 1};
  struct perf_event_attr attr = dummy;
  expect("a thread's own", paranoid, held, try_event(attr, 0, -1), closed ? EACCES : 0);
  expect("a CPU's", paranoid, held, try_event(attr, -1, 0), closed || (paranoid > 0 && !perfmon) ? EACCES : 0);
  attr.exclude_kernel = 0;
  expect("the kernel's", paranoid, held, try_event(attr, 0, -1), closed || (paranoid > 1 && !perfmon) ? EACCES : 0);
  attr.exclude_kernel = 1;
  attr.sample_type = PERF_SAMPLE_PHYS_ADDR;
  expect("physical addresses", paranoid, held, try_event(attr, 0, -1), closed || (paranoid > 1 && !perfmon) ? EACCES : 0);

  attr = (struct perf_event_attr){.type = PERF_TYPE_TRACEPOINT, .config = other, .exclude_kernel = 1};
  expect("a count", paranoid, held, try_event(attr, 0, -1), closed ? EACCES : 0);
  attr.sample_type = PERF_SAMPLE_RAW;
  expect("a record", paranoid, held, try_event(attr, 0, -1), closed ? EACCES : paranoid > -1 && !perfmon ? EPERM : 0);
  attr.config = call;
  expect("a call's record", paranoid, held, try_event(attr, 0, -1), closed ? EACCES : 0);

  attr = (struct perf_event_attr){.type = kprobe, .exclude_kernel = 1};
  attr.kprobe_func = (uintptr_t) "do_nanosleep";
  expect("a kprobe", paranoid, held, try_event(attr, 0, -1), closed || !perfmon ? EACCES : 0);
  attr = (struct perf_event_attr){.type = uprobe, .exclude_kernel = 1, .probe_offset = 64};
  attr.uprobe_path = (uintptr_t) "/proc/self/exe";
  expect("a uprobe", paranoid, held, try_event(attr, 0, -1) == EACCES, !admin);
}

int main(void) {
  const int before = number_in(kSetting);
  if (!is_claimed_kernel() || geteuid() != 0 || !set_paranoid(before)) return 0;
  const uint32_t call = event_id("sys_enter_getppid"), kprobe = number_in("/sys/bus/event_source/devices/kprobe/type"),
                 uprobe = number_in("/sys/bus/event_source/devices/uprobe/type");
  const uint32_t other = number_in("/sys/kernel/tracing/events/sched/sched_process_exit/id");
  CHECK(call && other && kprobe && uprobe);
  for (int paranoid = -1; paranoid <= 3; ++paranoid) {
    CHECK(set_paranoid(paranoid));
    for (unsigned held = kNone; held <= (kPerfmon | kAdmin); ++held) {
      fflush(stdout);
      const pid_t child = fork();
      if (child == 0) {
        keep(held);
        check(paranoid, held, call, other, kprobe, uprobe);
        fflush(stdout);
        _exit(0);
      }
      CHECK(ended(child) == 0);
    }
  }
  CHECK(set_paranoid(before));
  return 0;
}
