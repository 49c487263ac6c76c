// SPDX-License-Identifier: Apache-2.0
// Programs at a call's entry that make elements of hash maps and delete them again, as whoever measures the time of
// something does: each helper says what it must, whatever the process does with the map meanwhile. Silent when all is
// well.
#include "event_programs.h"

enum { kCalls = 500, kThreads = 6, kKilled = 20 };

SITE(sched_getscheduler);  // of no process, where the number is negative: that is the key

// Results are of 32 bits in some kernels.
#define TOLD(number)                                                  \
  {.code = BPF_ALU | BPF_XOR | BPF_K, .dst_reg = 0, .imm = number}, { \
    .code = BPF_ALU64 | BPF_OR | BPF_X, .dst_reg = 7, .src_reg = 0    \
  }
#define FIND AT_FRAME(2, -8), MAP(1, map), HELP(map_lookup_elem)
#define PUT_ELEMENT(how) AT_FRAME(2, -8), AT_FRAME(3, -24), MAP(1, map), SET(4, how), HELP(map_update_elem)
#define DELETE AT_FRAME(2, -8), MAP(1, map), HELP(map_delete_elem)

struct shape {
  const char* name;
  unsigned type, value, flags;
};

// What comes of it is in an array: how often it ran, and every bit that was not as it must be.
struct pairs {
  int map, results, link;
};

static struct pairs start_pairs(struct shape shape, unsigned entries, struct place place) {
  const int map = make_map(shape.type, 8, shape.value, entries, shape.flags),
            results = make_map(BPF_MAP_TYPE_ARRAY, 4, 16, 1, 0);
  const struct bpf_insn code[] = {
      SET(7, 0),
      LOAD(1, 6, 16),
      STORE(10, -8, 1),
      STORE(10, -24, 1),
      PUT(10, -16, 77),
      FIND,
      IF_EQUAL(0, 0, 1),
      SET(7, 1 << 20),
      PUT_ELEMENT(BPF_NOEXIST),
      TOLD(0),
      PUT_ELEMENT(BPF_NOEXIST),
      TOLD(-EEXIST),
      FIND,
      IF_EQUAL(0, 0, 4),
      LOAD(0, 0, 0),
      LOAD(1, 10, -8),
      {.code = BPF_ALU64 | BPF_XOR | BPF_X, .dst_reg = 0, .src_reg = 1},
      SKIP(1),
      SET(0, 1 << 21),
      TOLD(0),
      PUT(10, -24, 5),
      PUT_ELEMENT(BPF_EXIST),
      TOLD(0),
      FIND,
      IF_EQUAL(0, 0, 2),
      LOAD(0, 0, 0),
      SKIP(1),
      SET(0, 1 << 22),
      TOLD(5),
      DELETE,
      TOLD(0),
      DELETE,
      TOLD(-ENOENT),
      PUT_ELEMENT(BPF_EXIST),
      TOLD(-ENOENT),
      ELEMENT(results, 0),
      IF_EQUAL(0, 0, 3),
      SET(1, 1),
      ADD_TO(0, 0, 1),
      {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 7, .off = 8, .imm = BPF_OR},
      LEAVE};
  struct pairs pairs = {map, results, -1};
  const int program = load_at(place, code, LENGTH(code));
  if (program >= 0) pairs.link = attach_at(place, program), close(program);
  if (pairs.link < 0) printf("%s: errno %d\n", shape.name, errno);
  return pairs;
}

static void end_pairs(struct pairs pairs) {
  close(pairs.link), close(pairs.map), close(pairs.results);
}

static uint64_t times(struct pairs pairs, uint64_t* wrong) {
  uint64_t found[2] = {0};
  CHECK(ask_map(BPF_MAP_LOOKUP_ELEM, pairs.results, 0, found, 0) == 0);
  if (wrong) *wrong = found[1];
  return found[0];
}

static unsigned keys_there(int map) {
  uint64_t key, next;
  unsigned count = 0;
  union bpf_attr attr = {.map_fd = (uint32_t)map, .next_key = (uintptr_t)&next};
  for (; bpf_call(BPF_MAP_GET_NEXT_KEY, &attr) == 0; ++count) key = next, attr.key = (uintptr_t)&key;
  return count;
}

// As many elements as there may be, and no more, can be made, and deleted again.
static void check_room(struct pairs pairs, unsigned entries) {
  static const char value[512 * 16];
  for (unsigned i = 0; i < entries; ++i)
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, pairs.map, 1000 + i, value, BPF_NOEXIST) == 0);
  CHECK(ask_map(BPF_MAP_UPDATE_ELEM, pairs.map, 2000, value, BPF_NOEXIST) == -E2BIG);
  CHECK(keys_there(pairs.map) == entries);
  for (unsigned i = 0; i < entries; ++i) CHECK(ask_map(BPF_MAP_DELETE_ELEM, pairs.map, 1000 + i, NULL, 0) == 0);
  CHECK(keys_there(pairs.map) == 0);
}

static void check_pairs(const char* name, struct pairs pairs, uint64_t count) {
  uint64_t wrong;
  const uint64_t ran = times(pairs, &wrong);
  if (ran != count || wrong) printf("%s: %lu times, not %lu; wrong: %lx\n", name, ran, count, wrong);
}

// The keys come again and again, or each is a new one.
static void one_thread(struct shape shape) {
  enum { kEntries = 4 };
  const struct pairs pairs = start_pairs(shape, kEntries, of_us("sys_enter_sched_getscheduler"));
  uint64_t count = 0;
  for (int keys = 1; keys <= kCalls; keys *= 10) {
    for (int i = 0; i < kCalls; ++i, ++count) site_sched_getscheduler(-1 - i % keys, 0, 0, 0, 0, 0);
    check_pairs(shape.name, pairs, count);
    CHECK(keys_there(pairs.map) == 0);
    check_room(pairs, kEntries);
  }
  end_pairs(pairs);
}

// The process makes and deletes what the program does, and finds what it has made.
static void with_process(struct shape shape) {
  static const char value[512 * 16];
  static char found[512 * 16];
  const struct pairs pairs = start_pairs(shape, 3, of_us("sys_enter_sched_getscheduler"));
  uint64_t count = 0;
  for (int i = 0; i < 300; ++i) {
    const uint64_t key = (uint64_t)(-1 - i % 5);
    for (int j = 0; j < 7; ++j, ++count) site_sched_getscheduler((long)key, 0, 0, 0, 0, 0);
    CHECK(ask_map(BPF_MAP_DELETE_ELEM, pairs.map, key, NULL, 0) == -ENOENT);
    CHECK(ask_map(BPF_MAP_LOOKUP_ELEM, pairs.map, key, found, 0) == -ENOENT);
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, pairs.map, key, value, BPF_EXIST) == -ENOENT);
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, pairs.map, key, value, BPF_NOEXIST) == 0);
    CHECK(ask_map(BPF_MAP_LOOKUP_ELEM, pairs.map, key, found, 0) == 0);
    CHECK(keys_there(pairs.map) == 1);
    CHECK(ask_map(BPF_MAP_DELETE_ELEM, pairs.map, key, NULL, 0) == 0);
  }
  check_pairs(shape.name, pairs, count);
  check_room(pairs, 3);
  end_pairs(pairs);
}

static void* call_from_thread(void* number) {
  for (long i = 0; i < kCalls; ++i) site_sched_getscheduler(-1 - ((long)number * 1000 + i % 3), 0, 0, 0, 0, 0);
  return NULL;
}

// Each with keys of its own.
static void threads(struct shape shape) {
  const struct pairs pairs = start_pairs(shape, kThreads, of_us("sys_enter_sched_getscheduler"));
  pthread_t thread[kThreads];
  for (long i = 0; i < kThreads; ++i) CHECK(pthread_create(&thread[i], NULL, call_from_thread, (void*)i) == 0);
  for (int i = 0; i < kThreads; ++i) pthread_join(thread[i], NULL);
  check_pairs(shape.name, pairs, kThreads * kCalls);
  check_room(pairs, kThreads);
  end_pairs(pairs);
}

// A process that dies may leave what it has made, and no more: all others go on.
static void killed(struct shape shape) {
  const struct pairs pairs = start_pairs(shape, 8, (struct place){"sys_enter_sched_getscheduler", 0, 0});
  for (int i = 0; i < kKilled; ++i) {
    const pid_t child = fork();
    if (child == 0)
      for (;;) site_sched_getscheduler(-1, 0, 0, 0, 0, 0);
    usleep(2000 + 300 * (unsigned)i);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    const unsigned left = keys_there(pairs.map);
    CHECK(left <= 1);
    if (left) CHECK(ask_map(BPF_MAP_DELETE_ELEM, pairs.map, (uint64_t)-1, NULL, 0) == 0);
    const uint64_t before = times(pairs, NULL);
    for (int j = 0; j < 50; ++j) site_sched_getscheduler(-1, 0, 0, 0, 0, 0);
    CHECK(times(pairs, NULL) == before + 50);
  }
  check_room(pairs, 8);
  end_pairs(pairs);
}

int main(void) {
  static const struct shape shapes[] = {{"hash", BPF_MAP_TYPE_HASH, 8, 0},
                                        {"wide hash", BPF_MAP_TYPE_HASH, 16, 0},
                                        {"hash of what is allocated", BPF_MAP_TYPE_HASH, 8, BPF_F_NO_PREALLOC},
                                        {"per-CPU hash", BPF_MAP_TYPE_PERCPU_HASH, 8, 0}};
  if (!can_count()) return 0;
  for (unsigned i = 0; i < LENGTH(shapes); ++i) {
    one_thread(shapes[i]);
    with_process(shapes[i]);
    threads(shapes[i]);
    killed(shapes[i]);
  }
}
