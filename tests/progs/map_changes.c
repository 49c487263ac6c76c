// SPDX-License-Identifier: Apache-2.0
// Maps that are changed again and again, which a process may do by itself: every result is the one that it must be,
// however many signals, threads and ends of processes come in between. Silent when all is well.
#include "event_programs.h"

#include <sys/time.h>

enum { kRounds = 1000, kThreads = 4, kSignalRounds = 2000, kKilled = 20 };

static int hash, array;

static long update(int map, uint64_t key, const void* value, uint64_t flags) {
  return ask_map(BPF_MAP_UPDATE_ELEM, map, key, value, flags);
}
static long erase(int map, uint64_t key) {
  return ask_map(BPF_MAP_DELETE_ELEM, map, key, NULL, 0);
}
static long look_up(int map, uint64_t key, void* value) {
  return ask_map(BPF_MAP_LOOKUP_ELEM, map, key, value, 0);
}

static void expect(const char* what, long result, long expected) {
  if (result != expected) printf("%s: %ld, not %ld\n", what, result, expected);
}

// All there is to do with one key, which nobody else uses.
static void use_key(int map, uint64_t key, uint64_t value) {
  uint64_t found = 0;
  expect("put in", update(map, key, &value, BPF_NOEXIST), 0);
  expect("put in again", update(map, key, &value, BPF_NOEXIST), -EEXIST);
  expect("look up", look_up(map, key, &found), 0);
  expect("value", (long)(found - value), 0);
  ++value;
  expect("replace", update(map, key, &value, BPF_EXIST), 0);
  expect("look up the new one", look_up(map, key, &found), 0);
  expect("new value", (long)(found - value), 0);
  expect("delete", erase(map, key), 0);
  expect("delete again", erase(map, key), -ENOENT);
  expect("look up none", look_up(map, key, &found), -ENOENT);
  expect("replace none", update(map, key, &value, BPF_EXIST), -ENOENT);
}

static void use_element(uint64_t index, uint64_t value) {
  uint64_t found = 0;
  expect("write", update(array, index, &value, index % 2 ? BPF_ANY : BPF_EXIST), 0);
  expect("read", look_up(array, index, &found), 0);
  expect("value of the array", (long)(found - value), 0);
}

static void results(void) {
  const uint64_t value = 1;
  for (int i = 0; i < kRounds; ++i) {
    use_key(hash, (uint64_t)(i % 3), (uint64_t)i);
    use_element((uint64_t)(i % 4), (uint64_t)i);
    if (i % 10) continue;
    expect("beyond the array", update(array, 4, &value, BPF_ANY), -E2BIG);
    expect("no new one in the array", update(array, 1, &value, BPF_NOEXIST), -EEXIST);
    expect("other flags", update(array, 1, &value, 8), -EINVAL);
    expect("other flags of the hash", update(hash, 1, &value, 3), -EINVAL);
    expect("out of the array", erase(array, 1), -EINVAL);
    expect("no descriptor", update(-1, 1, &value, 0), -EBADF);
    expect("no map", update(1, 1, &value, 0), -EINVAL);
  }
}

static void bad_addresses(void) {
  uint32_t key = 1;
  uint64_t value = 5;
  uint8_t* const pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(munmap(pages + 4096, 4096) == 0);
  for (int i = 0; i < 200; ++i) {
    union bpf_attr attr = {.map_fd = (uint32_t)hash, .key = (uintptr_t)&key, .value = (uintptr_t)&value};
    CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == 0);
    attr.value = (uintptr_t)pages + 4092;
    CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == -1 && errno == EFAULT);
    attr.value = 8;
    CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == -1 && errno == EFAULT);
    attr.value = (uintptr_t)&value;
    attr.key = (uintptr_t)pages + 4094;
    CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == -1 && errno == EFAULT);
    attr.key = 0;
    CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == -1 && errno == EFAULT);
    attr.value = 0;
    CHECK(bpf_call(BPF_MAP_DELETE_ELEM, &attr) == -1 && errno == EFAULT);
    attr.key = (uintptr_t)&key;
    attr.value = (uintptr_t)&value;
    CHECK(bpf_call(BPF_MAP_DELETE_ELEM, &attr) == -1 && errno == EINVAL);  // there is no value to give
    attr.value = 0;
    CHECK(bpf_call(BPF_MAP_DELETE_ELEM, &attr) == 0);
  }
  munmap(pages, 4096);
}

// Of other sizes, and per CPU.
static void other_maps(void) {
  static const struct {
    unsigned type, value;
  } kinds[] = {{BPF_MAP_TYPE_HASH, 1},    {BPF_MAP_TYPE_HASH, 3},         {BPF_MAP_TYPE_HASH, 24},
               {BPF_MAP_TYPE_HASH, 3000}, {BPF_MAP_TYPE_PERCPU_HASH, 16}, {BPF_MAP_TYPE_LRU_HASH, 8}};
  static char given[512 * 16], found[512 * 16];
  for (unsigned kind = 0; kind < LENGTH(kinds); ++kind) {
    const int map = make_map(kinds[kind].type, 4, kinds[kind].value, 2, 0);
    for (int i = 0; i < 200; ++i) {
      memset(given, i, sizeof given);
      CHECK(update(map, 1, given, BPF_NOEXIST) == 0 && look_up(map, 1, found) == 0);
      CHECK(memcmp(given, found, kinds[kind].value) == 0);
      memset(given, i + 1, sizeof given);
      CHECK(update(map, 1, given, BPF_ANY) == 0 && look_up(map, 1, found) == 0);
      CHECK(memcmp(given, found, kinds[kind].value) == 0);
      CHECK(erase(map, 1) == 0 && erase(map, 1) == -ENOENT);
    }
    close(map);
  }
}

// Rights of descriptors; a map that nothing changes any more; a number that names another map by now.
static void descriptors(void) {
  uint64_t value = 1;
  union bpf_attr frozen = {0};
  for (int round = 0; round < 3; ++round) {
    const int map = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0),
              reads = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_RDONLY);
    for (int i = 0; i < 100; ++i) {
      expect("one that reads", update(reads, 0, &value, 0), -EPERM);
      expect("one that writes", update(map, 0, &value, 0), 0);
    }
    frozen.map_fd = (uint32_t)map;
    CHECK(bpf_call(BPF_MAP_FREEZE, &frozen) == 0);
    for (int i = 0; i < 100; ++i) expect("a frozen one", update(map, 0, &value, 0), -EPERM);
    dup2(array, map);
    for (int i = 0; i < 100; ++i, ++value) {
      uint64_t found = 0;
      expect("another one", update(map, 3, &value, 0), 0);
      CHECK(look_up(array, 3, &found) == 0 && found == value);
    }
    close(map), close(reads);
    for (int i = 0; i < 100; ++i) expect("a closed one", update(map, 0, &value, 0), -EBADF);
  }
}

static void* use_own_key(void* number) {
  for (uint64_t i = 0; i < kRounds; ++i) use_key(hash, 100 + (uintptr_t)number, i);
  return NULL;
}

static void threads(void) {
  pthread_t thread[kThreads];
  for (uintptr_t i = 0; i < kThreads; ++i) CHECK(pthread_create(&thread[i], NULL, use_own_key, (void*)i) == 0);
  for (int i = 0; i < kThreads; ++i) pthread_join(thread[i], NULL);
}

static volatile uint64_t handled;

// From the end of one handler on, so that there is time in between.
static void alarm_soon(long microseconds) {
  const struct itimerval soon = {{0, 0}, {0, microseconds}};
  setitimer(ITIMER_REAL, &soon, NULL);
}

static void on_alarm(int signal) {
  (void)signal;
  const int error = errno;
  use_key(hash, 200, handled);
  use_element(2, handled++);
  alarm_soon(100 + (long)(handled % 100));
  errno = error;
}

// Handlers that do the same come in the midst of it.
static void signals(void) {
  struct sigaction action = {.sa_handler = on_alarm}, before;
  sigaction(SIGALRM, &action, &before);
  alarm_soon(100);
  for (uint64_t i = 0; i < kSignalRounds; ++i) {
    use_key(hash, 201, i);
    use_element(3, i);
  }
  alarm_soon(0);
  sigaction(SIGALRM, &before, NULL);
  CHECK(handled > 0);
}

// Whatever those who die have left is whole.
static void killed(void) {
  uint64_t value = 7, found;
  for (int i = 0; i < kKilled; ++i) {
    const pid_t child = fork();
    if (child == 0)
      for (;;) update(hash, 300, &value, BPF_ANY), erase(hash, 300);
    usleep(1500 + 200 * (unsigned)i);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    if (look_up(hash, 300, &found) == 0) CHECK(found == value && erase(hash, 300) == 0);
    use_key(hash, 300, (uint64_t)i);
  }
}

int main(void) {
  if (!can_count()) return 0;
  hash = make_map(BPF_MAP_TYPE_HASH, 4, 8, 16, 0);
  array = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0);
  results();
  bad_addresses();
  other_maps();
  descriptors();
  threads();
  signals();
  killed();
}
