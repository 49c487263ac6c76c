// SPDX-License-Identifier: Apache-2.0
// endless event|run|batch|counter|end|clock: one call, or one program of somebody else's event, that takes years.
#include "long_program.h"

int main(int argc, char** argv) {
  (void)argc;
  if (!strcmp(argv[1], "batch")) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
    union bpf_attr batch = {.batch = {.count = ~0u}};
    batch.batch.map_fd = (uint32_t)bpf_call(BPF_MAP_CREATE, &map);
    void* const zeros = mmap(NULL, 8ull << 32, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    batch.batch.keys = batch.batch.values = (uintptr_t)zeros;
    return bpf_call(BPF_MAP_UPDATE_BATCH, &batch) != 0;
  }
  if (!strcmp(argv[1], "run")) {
    char data[64] = {0};
    union bpf_attr attr = {.test = {.data_size_in = sizeof data}};
    attr.test.prog_fd = (uint32_t)load_long_program(BPF_PROG_TYPE_SOCKET_FILTER);
    attr.test.data_in = (uintptr_t)data;
    return bpf_call(BPF_PROG_TEST_RUN, &attr) != 0;
  }
  if (!strcmp(argv[1], "counter") || !strcmp(argv[1], "end")) {
    const int ends = !strcmp(argv[1], "end");
    int go[2];
    char byte = 0;
    CHECK(pipe(go) == 0);
    const pid_t child = fork();
    if (child == 0) {
      CHECK(read(go[0], &byte, 1) == 1);  // the program is there
      for (int i = 0; !ends || i < 10; ++i)
        munmap(memset(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 1), 4096),
            usleep(1000);
      _exit(0);
    }
    struct perf_event_attr faults = {
        .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_PAGE_FAULTS, .size = sizeof faults, .sample_period = 1};
    const int fd = syscall(SYS_perf_event_open, &faults, child, -1, -1, PERF_FLAG_FD_CLOEXEC);
    CHECK(ioctl(fd, PERF_EVENT_IOC_SET_BPF, load_long_program(BPF_PROG_TYPE_PERF_EVENT)) == 0);
    CHECK(write(go[1], &byte, 1) == 1);
    return waitpid(child, NULL, 0) != child;
  }
  if (!strcmp(argv[1], "clock")) {
    const pid_t child = fork();
    while (child == 0) {
    }
    struct perf_event_attr clock = {
        .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK, .size = sizeof clock, .sample_period = 1000000};
    const int fd = syscall(SYS_perf_event_open, &clock, child, -1, -1, PERF_FLAG_FD_CLOEXEC);
    CHECK(ioctl(fd, PERF_EVENT_IOC_SET_BPF, load_long_program(BPF_PROG_TYPE_PERF_EVENT)) == 0);
    return waitpid(child, NULL, 0) != child;
  }
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .sample_period = 1};
  event.config = number_in("/sys/kernel/tracing/events/syscalls/sys_enter_getpgid/id");
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  CHECK(ioctl(fd, PERF_EVENT_IOC_SET_BPF, load_long_program(BPF_PROG_TYPE_TRACEPOINT)) == 0);
  syscall(SYS_getpgid, 0);
  return 0;
}
