// SPDX-License-Identifier: Apache-2.0
// Hard case 25: what the last descriptor of an event or object held is gone when close() returns, whichever way it was
// closed: nothing fires, no id is left, and an event of the program's own making can be removed.
#include "tracepoint.h"

enum { kRounds = 40 };

static const char kEvents[] = "/sys/kernel/tracing/uprobe_events";

// A probe on one call, closed in different ways; the call after that must not count.
static void nothing_fires(const char* how, void (*close_it)(int)) {
  int late = 0;
  for (int round = 0; round < kRounds; ++round) {
    const struct counter counter = count(getpid(), "enter", "getpgid");
    getpgid(0);
    close_it(counter.event);
    getpgid(0);
    late += counted(counter, 1) != 1;
    close(counter.map);
  }
  printf("%s: %d late\n", how, late);
}

static void by_close(int fd) {
  close(fd);
}
static void by_dup2(int fd) {
  const int other = open("/dev/null", O_RDONLY);
  if (fd >= 0) dup2(other, fd), close(fd);
  close(other);
}
static void by_close_range(int fd) {
  if (fd >= 0) syscall(SYS_close_range, fd, fd, 0);
}
// The last copy is a child's, which exits.
static void by_exit(int fd) {
  const pid_t child = fork();
  if (child == 0) sleep_ms(1), _exit(0);
  close(fd);
  ended(child);
}
static void by_exec(int fd) {
  int ends[2];
  char byte;
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    execl("/bin/sh", "sh", "-c", "echo; read x", NULL);
    _exit(1);
  }
  close(fd);
  CHECK(read(ends[0], &byte, 1) == 1);
  close(ends[0]), close(ends[1]);
  ended(child);
}

static int write_event(const char* text) {
  const int fd = open(kEvents, O_WRONLY | O_APPEND);
  const int r = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
  if (fd >= 0) close(fd);
  return r;
}

// An event that a descriptor uses is EBUSY.
static void event_is_free(void) {
  int busy = 0, early = 0;
  for (int round = 0; round < kRounds && access(kEvents, W_OK) == 0; ++round) {
    char text[64], path[128];
    unsigned id = 0;
    snprintf(text, sizeof text, "p:late%d/e /bin/true:0x2000", round);
    CHECK(write_event(text) == 0);
    snprintf(path, sizeof path, "/sys/kernel/tracing/events/late%d/e/id", round);
    FILE* file = fopen(path, "r");
    CHECK(file && fscanf(file, "%u", &id) == 1);
    fclose(file);
    struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .config = id};
    event.sample_period = 1;
    const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    CHECK(fd >= 0);
    snprintf(text, sizeof text, "-:late%d/e", round);
    early += write_event(text) == 0;
    close(fd);
    busy += write_event(text) != 0;
  }
  printf("events of our own: %d went too early, %d busy\n", early, busy);
}

static void no_id_is_left(void) {
  int left = 0;
  for (int round = 0; round < kRounds; ++round) {
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
    const int map = bpf_call(BPF_MAP_CREATE, &attr);
    if (map < 0 || fcntl(map, F_GETFD) < 0) continue;
    struct bpf_map_info info = {0};
    union bpf_attr ask = {.info = {.bpf_fd = map, .info_len = sizeof info, .info = (uintptr_t)&info}};
    CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &ask) == 0);
    close(map);
    union bpf_attr by_id = {.map_id = info.id};
    left += bpf_call(BPF_MAP_GET_FD_BY_ID, &by_id) >= 0 || errno != ENOENT;
  }
  printf("ids: %d left\n", left);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  nothing_fires("close", by_close);
  nothing_fires("dup2", by_dup2);
  nothing_fires("close_range", by_close_range);
  nothing_fires("exit", by_exit);
  nothing_fires("exec", by_exec);
  event_is_free();
  no_id_is_left();
}
