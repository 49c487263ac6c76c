// SPDX-License-Identifier: Apache-2.0
// Counting with perf events: tracepoints and what the kernel counts in software; groups, inheritance, exec, samples.
#include "output.h"

enum { kTimes = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING };

static int open_event(struct perf_event_attr attr, pid_t pid, int cpu, int group) {
  attr.size = sizeof attr;
  return syscall(SYS_perf_event_open, &attr, pid, cpu, group, PERF_FLAG_FD_CLOEXEC);
}

static struct perf_event_attr of_call(const char* name) {
  struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .config = event_id(name), .disabled = 1};
  return attr;
}

static struct perf_event_attr of_software(unsigned config) {
  struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .config = config, .disabled = 1};
  return attr;
}

static long count(int fd) {
  uint64_t values[16] = {0};
  if (!there_is_bpf) return 0;
  return read(fd, values, sizeof values) > 0 ? (long)values[0] : -errno;
}

static int control(int fd, unsigned long command) {
  return there_is_bpf ? ioctl(fd, command, 0) : 0;
}

static void call_getppid(int times) {
  for (int i = 0; i < times; ++i) syscall(SYS_getppid);
}

static void burn(double how_long) {
  for (double end = seconds() + how_long; seconds() < end;) continue;
}

static void simple(void) {
  struct perf_event_attr attr = of_call("sys_enter_getppid");
  int fd = open_event(attr, 0, -1, -1);
  call_getppid(2);
  say("disabled", count(fd), 0);
  control(fd, PERF_EVENT_IOC_ENABLE);
  call_getppid(3);
  say("enabled", count(fd), 3);
  control(fd, PERF_EVENT_IOC_DISABLE);
  call_getppid(5);
  say("disabled again", count(fd), 3);
  control(fd, PERF_EVENT_IOC_RESET);
  say("reset", count(fd), 0);
  control(fd, PERF_EVENT_IOC_ENABLE);
  call_getppid(1);
  say("enabled again", count(fd), 1);
  uint64_t values[8];
  say("a short read", there_is_bpf ? read(fd, values, 7) : -1, -1);
  say("its errno", errno, ENOSPC);
  say("a whole read", there_is_bpf ? read(fd, values, 8) : 8, 8);
  say("a write", there_is_bpf ? write(fd, values, 8) : -1, -1);
  if (there_is_bpf) close(fd);

  attr.disabled = 0;
  attr.read_format = kTimes | PERF_FORMAT_ID;
  fd = open_event(attr, 0, -1, -1);
  call_getppid(2);
  burn(0.02);
  uint64_t id = 0;
  say("id", there_is_bpf ? ioctl(fd, PERF_EVENT_IOC_ID, &id) : 0, 0);
  say("with times and id", there_is_bpf ? read(fd, values, sizeof values) : 32, 32);
  say("count", there_is_bpf ? (long)values[0] : 2, 2);
  say("enabled for a while", there_is_bpf ? values[1] > 5000000 && values[1] == values[2] : 1, 1);
  say("the id", there_is_bpf ? values[3] == id : 1, 1);
  if (there_is_bpf) close(fd);
}

static void grouped(void) {
  struct perf_event_attr attr = of_call("sys_enter_getppid");
  attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID;
  int leader = open_event(attr, 0, -1, -1);
  attr = of_call("sys_exit_getppid");
  attr.disabled = 0;
  int sibling = open_event(attr, 0, -1, leader);
  say("a group of a sibling", open_event(attr, 0, -1, there_is_bpf ? sibling : -1) < 0, 1);
  say("a group on another CPU", open_event(attr, 0, 0, there_is_bpf ? leader : -1) < 0, 1);
  call_getppid(2);
  say("its leader is disabled", count(sibling), 0);
  control(leader, PERF_EVENT_IOC_ENABLE);
  call_getppid(3);
  uint64_t values[8] = {2, 3, 0, 3, 0};
  say("group read", there_is_bpf ? read(leader, values, sizeof values) : 40, 40);
  say("members", (long)values[0], 2);
  say("leader", (long)values[1], 3);
  say("sibling", (long)values[3], 3);
  say("ids differ", there_is_bpf ? values[2] != values[4] : 1, 1);
  say("disable the group", there_is_bpf ? ioctl(sibling, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP) : 0, 0);
  call_getppid(3);
  say("disabled", count(sibling), 3);
  say("reset the group", there_is_bpf ? ioctl(leader, PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP) : 0, 0);
  say("reset", count(sibling), 0);
  if (there_is_bpf) close(leader), close(sibling);
}

static void* in_thread(void* unused) {
  call_getppid(7);
  return unused;
}

static void children(void) {
  struct perf_event_attr attr = of_call("sys_enter_getppid");
  attr.disabled = 0;
  int alone = open_event(attr, 0, -1, -1);
  attr.inherit = 1;
  int family = open_event(attr, 0, -1, -1);
  say("inherited ones are not mapped", there_is_bpf ? map_pages(family, 2, PROT_READ | PROT_WRITE) == NULL : 1, 1);
  pid_t child = fork();
  if (child == 0) {
    call_getppid(5);
    if (fork() == 0) {
      call_getppid(10);
      _exit(0);
    }
    wait(NULL);
    _exit(0);
  }
  CHECK(ended(child) == 0);
  pthread_t thread;
  pthread_create(&thread, NULL, in_thread, NULL);
  pthread_join(thread, NULL);
  call_getppid(1);
  say("alone", count(alone), 1);
  say("with children and threads", count(family), 1 + 5 + 10 + 7);
  if (there_is_bpf) close(alone), close(family);
}

static void from_exec(const char* self) {
  int start[2];
  char byte = 0;
  CHECK(pipe(start) == 0);
  pid_t child = fork();
  if (child == 0) {
    CHECK(read(start[0], &byte, 1) == 1);
    call_getppid(3);
    execl(self, self, "4", NULL);
    _exit(9);
  }
  struct perf_event_attr attr = of_call("sys_enter_getppid");
  attr.enable_on_exec = attr.inherit = 1;
  int fd = open_event(attr, child, -1, -1);
  CHECK(write(start[1], "x", 1) == 1);
  CHECK(ended(child) == 0);
  say("from exec on", count(fd), 4);
  if (there_is_bpf) close(fd);
  close(start[0]);
  close(start[1]);
}

static int load_return(int value) {
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = value}, {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_TRACEPOINT, .insn_cnt = 2};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static void filtered(int value) {
  struct perf_event_attr attr = of_call("sys_enter_getppid");
  int fd = open_event(attr, 0, -1, -1), program = load_return(value);
  say("attach", there_is_bpf ? ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) : 0, 0);
  control(fd, PERF_EVENT_IOC_ENABLE);
  call_getppid(3);
  say("a program decides", count(fd), value ? 3 : 0);
  if (there_is_bpf) close(fd), close(program);
}

static void sampled(void) {
  struct perf_event_attr attr = of_call("sys_enter_getppid");
  attr.sample_period = 2;
  attr.wakeup_events = 1;
  attr.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_CPU | PERF_SAMPLE_READ | PERF_SAMPLE_RAW;
  int fd = open_event(attr, 0, 0, -1);
  struct perf_event_mmap_page* page = there_is_bpf ? map_pages(fd, 2, PROT_READ | PROT_WRITE) : NULL;
  control(fd, PERF_EVENT_IOC_ENABLE);
  call_getppid(5);
  control(fd, PERF_EVENT_IOC_DISABLE);
  struct {
    struct perf_event_header header;
    uint64_t id;
    uint32_t pid, tid;
    uint32_t cpu, unused;
    uint64_t count;
    uint32_t size;
    uint16_t type;
    uint8_t flags, preempt;
    int32_t common_pid;
    int32_t nr, padding;
  }* record = page ? (void*)((char*)page + 4096) : NULL;
  uint64_t id = 0;
  if (page) CHECK(ioctl(fd, PERF_EVENT_IOC_ID, &id) == 0);
  say("poll", page ? polled(fd, POLLIN) : POLLIN, POLLIN);
  say("two records", page ? (long)page->data_head : 128, 128);
  say("type and size", page ? record->header.type * 1000 + record->header.size : 9064, 9064);
  say("id", page ? record->id == id : 1, 1);
  say("task", page ? (pid_t)record->pid == getpid() && (pid_t)record->tid == getpid() : 1, 1);
  say("CPU", page ? record->cpu : 0, 0);
  say("count", page ? (long)record->count : 2, 2);
  say("raw size", page ? record->size : 20, 20);
  say("its type", page ? record->type == attr.config : 1, 1);
  say("its pid", page ? record->common_pid == getpid() : 1, 1);
  say("its number", page ? record->nr : SYS_getppid, SYS_getppid);
  if (page) munmap(page, 2 * 4096), close(fd);
}

static void touch(int pages) {
  char* area = mmap(NULL, (size_t)pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(area, (size_t)pages * 4096, MADV_NOHUGEPAGE);
  for (int i = 0; i < pages; ++i) area[i * 4096] = 1;
  munmap(area, (size_t)pages * 4096);
}

static void software(void) {
  enum { kCpuClock, kTaskClock, kFaults, kMinor, kMajor, kSwitches, kMigrations, kDummy, kEvents };
  const unsigned configs[] = {PERF_COUNT_SW_CPU_CLOCK,       PERF_COUNT_SW_TASK_CLOCK,
                              PERF_COUNT_SW_PAGE_FAULTS,     PERF_COUNT_SW_PAGE_FAULTS_MIN,
                              PERF_COUNT_SW_PAGE_FAULTS_MAJ, PERF_COUNT_SW_CONTEXT_SWITCHES,
                              PERF_COUNT_SW_CPU_MIGRATIONS,  PERF_COUNT_SW_DUMMY};
  int fds[kEvents];
  for (int i = 0; i < kEvents; ++i) {
    fds[i] = open_event(of_software(configs[i]), 0, -1, -1);
    CHECK(!there_is_bpf || fds[i] >= 0);
    say("counts nothing yet", count(fds[i]), 0);
  }
  for (int i = 0; i < kEvents; ++i) control(fds[i], PERF_EVENT_IOC_ENABLE);
  burn(0.1);
  touch(200);
  for (int i = 0; i < 20; ++i) sleep_ms(1);
  for (int i = 0; i < kEvents; ++i) control(fds[i], PERF_EVENT_IOC_DISABLE);
  long found[kEvents];
  for (int i = 0; i < kEvents; ++i) found[i] = count(fds[i]);
#define SAY_RANGE(name, from, to) say(#name, there_is_bpf ? found[name] >= (from) && found[name] <= (to) : 1, 1)
  SAY_RANGE(kCpuClock, 10000000, 1000000000);
  SAY_RANGE(kTaskClock, 10000000, 1000000000);
  SAY_RANGE(kFaults, 200, 400);
  SAY_RANGE(kMinor, 200, 400);
  SAY_RANGE(kMajor, 0, 10);
  SAY_RANGE(kSwitches, 20, 400);
  SAY_RANGE(kMigrations, 0, 10);
  SAY_RANGE(kDummy, 0, 0);
  for (int i = 0; i < kEvents; ++i) {
    control(fds[i], PERF_EVENT_IOC_RESET);
    say("reset", count(fds[i]), 0);
    if (there_is_bpf) close(fds[i]);
  }
  say("no such software event", open_event(of_software(PERF_COUNT_SW_MAX), 0, -1, -1), -1);
  if (there_is_bpf) CHECK(errno == ENOENT);
  struct perf_event_attr attr = of_software(PERF_COUNT_SW_DUMMY);
  attr.use_clockid = 1;
  attr.clockid = CLOCK_PROCESS_CPUTIME_ID;
  say("no such clock", open_event(attr, 0, -1, -1), -1);
}

// The clock's samples of ourselves: all of them ours, at about the right rate, in the loop that burns.
static void profile(void) {
  struct perf_event_attr attr = of_software(PERF_COUNT_SW_CPU_CLOCK);
  attr.freq = 1;
  attr.sample_freq = 200;
  attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD;
  attr.exclude_kernel = 1;
  int fd = open_event(attr, 0, -1, -1);
  struct perf_event_mmap_page* page = there_is_bpf ? map_pages(fd, 9, PROT_READ | PROT_WRITE) : NULL;
  control(fd, PERF_EVENT_IOC_ENABLE);
  burn(0.5);
  control(fd, PERF_EVENT_IOC_DISABLE);
  struct record {
    struct perf_event_header header;
    uint64_t ip;
    uint32_t pid, tid;
    uint64_t time;
    uint32_t cpu, unused;
    uint64_t period;
  };
  int samples = 0, wrong = 0;
  for (uint64_t at = 0; page && at < page->data_head && at < 8 * 4096; at += sizeof(struct record), ++samples) {
    const struct record* r = (const void*)((char*)page + 4096 + at);
    wrong += r->header.type != PERF_RECORD_SAMPLE || r->header.size != sizeof *r || (pid_t)r->pid != getpid() ||
             (pid_t)r->tid != getpid() || r->ip == 0 || r->period != 5000000 || r->header.misc != PERF_RECORD_MISC_USER;
  }
  say("samples", page ? samples >= 10 && samples <= 110 : 1, 1);
  say("wrong ones", wrong, 0);
  if (page) munmap(page, 9 * 4096), close(fd);
}

static void after_the_end(void) {
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  struct perf_event_attr attr = of_call("sys_enter_getppid");
  int fd = open_event(attr, child, 0, -1);
  struct perf_event_mmap_page* page = there_is_bpf ? map_pages(fd, 2, PROT_READ | PROT_WRITE) : NULL;
  say("poll while it lives", polled(there_is_bpf ? fd : -1, POLLIN), -1);
  kill(child, SIGKILL);
  CHECK(ended(child) == -SIGKILL);
  say("poll when it is gone", page ? polled(fd, POLLIN) : POLLHUP, POLLHUP);
  say("read when it is gone", count(fd), 0);
  say("an event of nobody", open_event(attr, child, -1, -1), -1);
  if (page) munmap(page, 2 * 4096), close(fd);
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc > 1) return call_getppid(atoi(argv[1])), 0;
  stay_on_cpu_0();
  there_is_bpf = event_id("sys_enter_getppid") != 0;
  simple();
  grouped();
  children();
  from_exec(argv[0]);
  filtered(0);
  filtered(1);
  sampled();
  software();
  profile();
  after_the_end();
  return 0;
}
