// SPDX-License-Identifier: Apache-2.0
// Breakpoint events: what they take, count, and sample; of threads, children and programs that are run; and the program on one.
#include "output.h"

#include <linux/hw_breakpoint.h>

static volatile long watched, other;
static volatile char bytes[16] __attribute__((aligned(16)));
static void* pages;

__attribute__((noinline)) static void called(void) { __asm__ volatile("" ::: "memory"); }

static int open_breakpoint(struct perf_event_attr attr, const volatile void* address, unsigned type, unsigned length, pid_t pid, int cpu) {
  attr.type = PERF_TYPE_BREAKPOINT;
  attr.size = sizeof attr;
  attr.bp_addr = (uintptr_t)address;
  attr.bp_type = type;
  attr.bp_len = length;
  attr.exclude_kernel = 1;
  const int fd = there_is_bpf ? (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC) : -1;
  return fd < 0 ? -errno : fd;
}

static long count(int fd) {
  uint64_t value = 0;
  return there_is_bpf && read(fd, &value, sizeof value) == sizeof value ? (long)value : -1;
}

static void end(int fd) {
  if (there_is_bpf && fd >= 0) close(fd);
}

static void write_both(int times) {
  for (int i = 0; i < times; ++i) watched = i, other = i;
}

static void kinds(void) {
  const struct perf_event_attr plain = {0};
  int fd = open_breakpoint(plain, &watched, HW_BREAKPOINT_W, 8, 0, -1);
  write_both(5);
  for (int i = 0; i < 3; ++i) (void)watched;
  say("writes", count(fd), 5);
  if (there_is_bpf) ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
  write_both(5);
  say("disabled", count(fd), 5);
  if (there_is_bpf) ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
  write_both(2);
  say("enabled again", count(fd), 7);
  struct perf_event_attr moved = {.type = PERF_TYPE_BREAKPOINT, .size = sizeof moved, .bp_type = HW_BREAKPOINT_W,
                                  .bp_len = 8, .exclude_kernel = 1};
  moved.bp_addr = (uintptr_t)&other;
  say("moved", there_is_bpf ? ioctl(fd, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &moved) : 0, 0);
  other = 3;
  write_both(1);
  say("writes there", count(fd), 9);
  end(fd);
  fd = open_breakpoint(plain, &watched, HW_BREAKPOINT_RW, 8, 0, -1);
  watched = 1;
  (void)watched;
  (void)watched;
  say("accesses", count(fd), 3);
  end(fd);
  fd = open_breakpoint(plain, bytes + 4, HW_BREAKPOINT_W, 2, 0, -1);
  for (int i = 0; i < 16; ++i) bytes[i] = 1;
  say("two bytes of sixteen", count(fd), 2);
  end(fd);
  fd = open_breakpoint(plain, (void*)(uintptr_t)called, HW_BREAKPOINT_X, 8, 0, -1);
  for (int i = 0; i < 7; ++i) called();
  say("calls", count(fd), 7);
  end(fd);
  // One that is written, and one that is not. (An emulated processor does not tell apart two that are.)
  const int one = open_breakpoint(plain, &watched, HW_BREAKPOINT_W, 8, 0, -1);
  const int never = open_breakpoint(plain, pages, HW_BREAKPOINT_W, 4, 0, -1);
  write_both(4);
  say("one of two", count(one), 4);
  say("of a place that nobody writes", count(never), 0);
  end(one), end(never);
}

static void refusals(void) {
  const struct perf_event_attr plain = {0};
  struct perf_event_attr branches = {.sample_type = PERF_SAMPLE_BRANCH_STACK, .branch_sample_type = PERF_SAMPLE_BRANCH_ANY};
  say("no kind", open_breakpoint(plain, &watched, HW_BREAKPOINT_EMPTY, 8, 0, -1), -EINVAL);
  say("every kind", open_breakpoint(plain, &watched, HW_BREAKPOINT_INVALID, 8, 0, -1), -EINVAL);
  say("only reads", open_breakpoint(plain, &watched, HW_BREAKPOINT_R, 8, 0, -1), -EINVAL);
  say("three bytes", open_breakpoint(plain, &watched, HW_BREAKPOINT_W, 3, 0, -1), -EINVAL);
  say("no bytes", open_breakpoint(plain, &watched, HW_BREAKPOINT_W, 0, 0, -1), -EINVAL);
  say("askew", open_breakpoint(plain, bytes + 1, HW_BREAKPOINT_W, 2, 0, -1), -EINVAL);
  say("half an instruction", open_breakpoint(plain, (void*)(uintptr_t)called, HW_BREAKPOINT_X, 4, 0, -1), -EINVAL);
  say("the kernel's", open_breakpoint(plain, (void*)0xffffffff81000000, HW_BREAKPOINT_W, 8, 0, -1), -EINVAL);
  say("branches", open_breakpoint(branches, &watched, HW_BREAKPOINT_W, 8, 0, -1), -EOPNOTSUPP);
  int all[4];
  for (int i = 0; i < 4; ++i) all[i] = open_breakpoint(plain, bytes + i, HW_BREAKPOINT_W, 1, 0, -1);
  say("the fourth", all[3] >= 0, 1);
  say("one too many", open_breakpoint(plain, bytes + 4, HW_BREAKPOINT_W, 1, 0, -1), -ENOSPC);
  say("no kind, and one too many", open_breakpoint(plain, bytes + 4, HW_BREAKPOINT_EMPTY, 1, 0, -1), -EINVAL);
  say("three bytes, and one too many", open_breakpoint(plain, bytes + 4, HW_BREAKPOINT_W, 3, 0, -1), -ENOSPC);
  for (int i = 0; i < 16; ++i) bytes[i] = 1;
  for (int i = 0; i < 4; ++i) say("of one byte", count(all[i]), 1), end(all[i]);
  say("room again", open_breakpoint(plain, bytes + 4, HW_BREAKPOINT_W, 1, 0, -1) >= 0, 1);
}

static void* write_in_thread(void* times) {
  write_both((int)(intptr_t)times);
  return NULL;
}

// What a thread, a child and its maker write: 3, 4 and 2 times.
static void write_in_all(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, write_in_thread, (void*)3);
  pthread_join(thread, NULL);
  const pid_t child = fork();
  if (child == 0) {
    write_both(4);
    _exit(0);
  }
  say("the child", ended(child), 0);
  write_both(2);
}

// What another process writes, which waits while the breakpoint is opened for it, or for all on this CPU.
static long written_by_another(int of_all) {
  const struct perf_event_attr plain = {0};
  int ready[2], go[2];
  char byte = 0;
  CHECK(pipe(ready) == 0 && pipe(go) == 0);
  const pid_t waiting = fork();
  if (waiting == 0) {
    CHECK(write(ready[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1);
    write_both(6);
    _exit(0);
  }
  CHECK(read(ready[0], &byte, 1) == 1);
  const int fd = open_breakpoint(plain, &watched, HW_BREAKPOINT_W, 8, of_all ? -1 : waiting, of_all ? 0 : -1);
  CHECK(write(go[1], &byte, 1) == 1);
  say("the other process", ended(waiting), 0);
  write_both(1);
  const long written = count(fd);
  end(fd), close(ready[0]), close(ready[1]), close(go[0]), close(go[1]);
  return written;
}

static void whose(void) {
  struct perf_event_attr attr = {0};
  int fd = open_breakpoint(attr, &watched, HW_BREAKPOINT_W, 8, 0, -1);
  write_in_all();
  say("the thread's own", count(fd), 2);
  end(fd);
  attr.inherit = 1;
  fd = open_breakpoint(attr, &watched, HW_BREAKPOINT_W, 8, 0, -1);
  write_in_all();
  say("with children", count(fd), 9);
  end(fd);
  say("what it wrote", written_by_another(0), 6);
  say("what both wrote", written_by_another(1), 7);
}

static void samples(void) {
  struct perf_event_attr attr = {.sample_period = 2, .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_ADDR};
  const int fd = open_breakpoint(attr, (void*)(uintptr_t)called, HW_BREAKPOINT_X, 8, 0, -1);
  struct perf_event_mmap_page* page = there_is_bpf ? map_pages(fd, 2, PROT_READ | PROT_WRITE) : NULL;
  for (int i = 0; i < 7; ++i) called();
  struct {
    struct perf_event_header header;
    uint64_t ip;
    uint32_t pid, tid;
    uint64_t address;
  } const* sample = page ? (const void*)((char*)page + 4096) : NULL;
  say("bytes of samples", page ? (long)page->data_head : 0, 3 * (long)sizeof *sample);
  say("of user mode", sample ? sample->header.misc & PERF_RECORD_MISC_CPUMODE_MASK : 0, PERF_RECORD_MISC_USER);
  say("there", sample && sample->ip == (uintptr_t)called, 1);
  say("at that address", sample && sample->address == (uintptr_t)called, 1);
  say("of this thread", sample && sample->tid == (uint32_t)syscall(SYS_gettid), 1);
  if (page) munmap(page, 8192);
  end(fd);
}

static void program(void) {
  struct perf_event_attr attr = {.sample_period = 1};
  struct counter counter = {there_is_bpf ? counter_map() : -1, -1};
  const int code = there_is_bpf ? load_counter(BPF_PROG_TYPE_PERF_EVENT, counter.map, 0) : -1;
  counter.event = open_breakpoint(attr, &watched, HW_BREAKPOINT_W, 8, 0, -1);
  say("a program on it", there_is_bpf ? ioctl(counter.event, PERF_EVENT_IOC_SET_BPF, code) : 0, 0);
  write_both(5);
  say("its runs", end_count(counter, 5), 5);
  if (code >= 0) close(code);
}

int main(void) {
  union bpf_attr probe = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
  there_is_bpf = bpf_call(BPF_MAP_CREATE, &probe) >= 0;
  if (!there_is_bpf && demanded()) printf("bpf() is missing\n");
  setvbuf(stdout, NULL, _IOLBF, 4096);
  stay_on_cpu_0();
  pages = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  kinds();
  refusals();
  whose();
  samples();
  program();
  return 0;
}
