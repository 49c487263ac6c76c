// SPDX-License-Identifier: Apache-2.0
// Maps that are read again and again, which a process may do by itself: the same results and errors as ever, whatever
// happens meanwhile.
#include "counter.h"

#include <setjmp.h>

enum { kEntries = 64, kRounds = 400, kLast = 255, kMostCpus = 128 };

static int no_bpf;  // everything holds, as far as anybody can tell

static int make_map(int type, unsigned value_size, unsigned flags) {
  union bpf_attr attr = {.map_type = type, .key_size = 4, .value_size = value_size, .max_entries = kEntries};
  attr.map_flags = flags;
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static long element(int command, int map, const void* key, const void* value, uint64_t flags) {
  union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)key, .value = (uintptr_t)value, .flags = flags};
  return bpf_call(command, &attr) == 0 ? 0 : -errno;
}
static long lookup(int map, uint32_t key, void* value) { return element(BPF_MAP_LOOKUP_ELEM, map, &key, value, 0); }
static long update(int map, uint32_t key, const void* value) {
  return element(BPF_MAP_UPDATE_ELEM, map, &key, value, 0);
}

static const int kTypes[] = {BPF_MAP_TYPE_HASH,         BPF_MAP_TYPE_ARRAY,    BPF_MAP_TYPE_PERCPU_HASH,
                             BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH};
static int is_per_cpu(int type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}
static int is_array(int type) { return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY; }

static unsigned cpus(void) {
  unsigned first = 0, last = 0;
  FILE* file = fopen("/sys/devices/system/cpu/possible", "r");
  if (file && fscanf(file, "%u-%u", &first, &last) < 2) last = first;
  if (file) fclose(file);
  return last + 1;
}

// An LRU map keeps what it has free for one CPU at a time, and evicts when another wants some.
static void stay_on_this_cpu(cpu_set_t* before) {
  cpu_set_t one;
  CHECK(sched_getaffinity(0, sizeof *before, before) == 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

// Every value, every key once, and what is not there.
static void values_and_keys(int type) {
  const unsigned size = 12, stride = is_per_cpu(type) ? 16 : size, count = is_per_cpu(type) ? cpus() : 1;
  const int map = make_map(type, size, 0);
  uint8_t in[16 * kMostCpus], out[16 * kMostCpus + 1];
  cpu_set_t before;
  stay_on_this_cpu(&before);
  for (uint32_t key = 0; key < kEntries / 2; ++key) {
    for (unsigned i = 0; i < stride * count; ++i) in[i] = i % stride < size ? (uint8_t)(key * 7 + i) : 0;
    CHECK(update(map, key, in) == 0);
    out[stride * count] = 0x5a;
    for (int again = 0; again < 3; ++again) {
      memset(out, 0xff, stride * count);
      CHECK(lookup(map, key, out) == 0 && memcmp(in, out, stride * count) == 0);
      // As a change of moments ago.
      in[0] = (uint8_t)~in[0];
      CHECK(update(map, key, in) == 0);
      CHECK(lookup(map, key, out) == 0 && memcmp(in, out, stride * count) == 0);
    }
    CHECK(out[stride * count] == 0x5a);
  }
  for (int again = 0; again < 30; ++again) {
    uint32_t key = 12345, next = 0;
    unsigned seen = 0;
    uint64_t which = 0;
    long end;
    for (const uint32_t* at = NULL; (end = element(BPF_MAP_GET_NEXT_KEY, map, at, &next, 0)) == 0; at = &key) {
      key = next;
      if (key < 64) which |= UINT64_C(1) << key;
      ++seen;
    }
    CHECK(end == -ENOENT);
    CHECK(seen == (is_array(type) ? kEntries : kEntries / 2));
    CHECK(which == (is_array(type) ? ~UINT64_C(0) : UINT32_MAX));
    key = 12345;
    CHECK(element(BPF_MAP_GET_NEXT_KEY, map, &key, &next, 0) == 0);  // from the beginning
    CHECK(lookup(map, 12345, out) == -ENOENT);
    if (!is_array(type)) CHECK(lookup(map, kEntries - 1, out) == -ENOENT);
  }
  sched_setaffinity(0, sizeof before, &before);
  close(map);
}

static void errors(void) {
  const int map = make_map(BPF_MAP_TYPE_HASH, 8, 0), writable = make_map(BPF_MAP_TYPE_HASH, 8, BPF_F_WRONLY);
  uint64_t value = 3;
  uint32_t key = 1;
  void* const sealed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* const bad = (void*)8;
  CHECK(update(map, key, &value) == 0 && update(writable, key, &value) == 0);
  for (int again = 0; again < 40; ++again) {
    CHECK(lookup(map, 1, &value) == 0 && value == 3);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, bad, &value, 0) == -EFAULT);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, &key, bad, 0) == -EFAULT);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, &key, sealed, 0) == -EFAULT);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, (void*)-4096, &value, 0) == -EFAULT);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, NULL, &value, 0) == -EFAULT);
    CHECK(element(BPF_MAP_GET_NEXT_KEY, map, &key, bad, 0) == -ENOENT);
    CHECK(element(BPF_MAP_GET_NEXT_KEY, map, NULL, bad, 0) == -EFAULT);
    CHECK(element(BPF_MAP_GET_NEXT_KEY, map, &key, &value, 1) == -EINVAL);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, &key, &value, 1) == -EINVAL);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, &key, &value, BPF_F_LOCK) == -EINVAL);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, writable, &key, &value, 0) == -EPERM);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, 0, &key, &value, 0) == -EINVAL);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, 999, &key, &value, 0) == -EBADF);
    CHECK(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, bad, 32) == -1 && errno == EFAULT);
    union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)&value};
    CHECK(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, 24) == 0);
    CHECK(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, 16) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, 5000) == -1 && errno == E2BIG);
    ((char*)&attr)[sizeof attr - 1] = 1;
    CHECK(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == -1 && errno == EINVAL);
  }
  close(map), close(writable), munmap(sealed, 4096);
}

// A number is another map's, or nobody's, from one call to the next.
static void moving_descriptors(void) {
  int maps[2];
  uint64_t value;
  for (uint64_t i = 0; i < 2; ++i) {
    maps[i] = make_map(BPF_MAP_TYPE_ARRAY, 8, 0);
    CHECK(update(maps[i], 5, &i) == 0);
  }
  for (int again = 0; again < kRounds; ++again) {
    const int fd = dup(maps[again % 2]);
    CHECK(lookup(fd, 5, &value) == 0 && value == (uint64_t)(again % 2));
    CHECK(dup2(maps[1 - again % 2], fd) == fd);
    CHECK(lookup(fd, 5, &value) == 0 && value == (uint64_t)(1 - again % 2));
    close(fd);
    CHECK(lookup(fd, 5, &value) == -EBADF);
    const int young = make_map(BPF_MAP_TYPE_ARRAY, 8, 0);
    value = 99;
    CHECK(young == fd && lookup(young, 5, &value) == 0 && value == 0);
    close(young);
  }
  close(maps[0]), close(maps[1]);
}

static int shared_map;
static atomic_int ending;

static void* reader(void* unused) {
  uint64_t value = 0, last = 0;
  while (!ending) {
    CHECK(lookup(shared_map, 7, &value) == 0);
    CHECK(value >= last && value <= kLast);  // of which one byte changes: more are not copied in one piece
    last = value;
  }
  return unused;
}

// What one thread has put in, the others see, and nothing else.
static void threads_and_signals(void) {
  pthread_t readers[3];
  shared_map = make_map(BPF_MAP_TYPE_ARRAY, 8, 0);
  ending = 0;
  for (int i = 0; i < 3; ++i) pthread_create(&readers[i], NULL, reader, NULL);
  for (uint64_t n = 1; n <= kLast; ++n) {
    uint64_t out = 0;
    CHECK(update(shared_map, 7, &n) == 0 && lookup(shared_map, 7, &out) == 0 && out == n);
  }
  ending = 1;
  for (int i = 0; i < 3; ++i) pthread_join(readers[i], NULL);
  close(shared_map);
}

static atomic_int alarms;
static void on_alarm(int signal) {
  uint64_t value = 0;
  (void)signal;
  ++alarms;
  CHECK(lookup(shared_map, 9, &value) == 0 && value == 9);
}
static sigjmp_buf away;
static void leave(int signal) {
  (void)signal;
  ++alarms;
  siglongjmp(away, 1);
}

static void every(long microseconds) {
  const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

// A handler that reads itself, and one that never returns.
static void signals(void) {
  uint64_t value = 9;
  shared_map = make_map(BPF_MAP_TYPE_HASH, 8, 0);
  CHECK(update(shared_map, 9, &value) == 0);
  alarms = 0;
  signal(SIGALRM, on_alarm);
  every(300);
  while (alarms < 100) {
    value = 0;
    CHECK(lookup(shared_map, 9, &value) == 0 && value == 9);
  }
  every(0);
  signal(SIGALRM, leave);
  for (alarms = 0; alarms < 100;) {
    if (sigsetjmp(away, 1)) continue;
    every(300);
    for (;;) CHECK(lookup(shared_map, 9, &value) == 0 && value == 9);
  }
  every(0);
  signal(SIGALRM, SIG_DFL);
  close(shared_map);
}

// EFAULT is no signal, whatever the program has made of SIGSEGV.
static void no_faults(void) {
  sigset_t set;
  uint32_t key = 0;
  const int map = make_map(BPF_MAP_TYPE_ARRAY, 8, 0);
  sigemptyset(&set), sigaddset(&set, SIGSEGV);
  for (int again = 0; again < 20; ++again) {
    sigprocmask(again % 2 ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    CHECK(element(BPF_MAP_LOOKUP_ELEM, map, &key, (void*)8, 0) == -EFAULT);
  }
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  close(map);
}

// Children read on, or die while they do, and their parent forks while threads read.
static void forks(void) {
  pthread_t busy;
  uint64_t value = 3;
  shared_map = make_map(BPF_MAP_TYPE_ARRAY, 8, 0);
  CHECK(update(shared_map, 7, &value) == 0);
  ending = 0;
  pthread_create(&busy, NULL, reader, NULL);
  for (int i = 0; i < 30; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      for (int n = 0; n < 200 || i % 2; ++n)
        if (lookup(shared_map, 7, &value) != 0 || value != 3) _exit(1);
      _exit(0);
    }
    if (i % 2) usleep(2000), kill(child, SIGKILL);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == (i % 2 ? SIGKILL : 0));
  }
  ending = 1;
  pthread_join(busy, NULL);
  close(shared_map);
}

// Once somebody listens to the call, every one is heard.
static void listened(void) {
  const int map = counter_map();
  uint64_t value;
  for (int i = 0; i < 100; ++i) CHECK(lookup(map, 0, &value) == 0);
  const unsigned id = event_id("sys_enter_bpf");
  if (id == 0 && !demanded()) return;  // nobody has mounted tracefs
  const int program = load_counter(BPF_PROG_TYPE_TRACEPOINT, map, getpid());
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .config = id, .sample_period = 1};
  const int fd = (int)syscall(SYS_perf_event_open, &event, -1, 0, -1, 0);
  CHECK(fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0);
  for (int i = 0; i < 100; ++i) CHECK(lookup(map, 0, &value) == 0);
  CHECK(value == 100);  // itself among them
  close(fd), close(program), close(map);
}

int main(void) {
  const int map = counter_map();
  no_bpf = map < 0;
  if (!no_bpf) {
    close(map);
    for (unsigned i = 0; i < sizeof kTypes / sizeof kTypes[0]; ++i) values_and_keys(kTypes[i]);
    errors();
    moving_descriptors();
    threads_and_signals();
    signals();
    no_faults();
    forks();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) listened();
  }
  puts(no_bpf && demanded() ? "no bpf()" : "as ever");
}
