// SPDX-License-Identifier: Apache-2.0
// Programs at system calls that are made again and again, which whoever runs them may do in many ways: every number is
// exact, whatever the programs count in and ask for, and whoever attaches or changes what meanwhile. Silent when all is
// well.
#include "event_programs.h"

#include <sys/prctl.h>

enum { kCalls = 1000, kMoreCalls = 3000 };

SITE(getuid);
SITE(geteuid);
SITE(sched_yield);
SITE(nanosleep);
SITE(close);
SITE(sched_getscheduler);
SITE(copy_file_range);
SITE(sched_rr_get_interval);

static const struct timespec kNoTime = {0, 0}, kShortTime = {0, 1000};

static const struct {
  const char* event;
  int number;
  long (*site)(long, long, long, long, long, long);
  long word;
  const void* pointer;
} kCall[] = {
    {"sys_enter_getppid", SYS_getppid, site_getppid},
    {"sys_enter_getuid", SYS_getuid, site_getuid},
    {"sys_enter_geteuid", SYS_geteuid, site_geteuid},
    {"sys_enter_sched_yield", SYS_sched_yield, site_sched_yield},
    {"sys_enter_nanosleep", SYS_nanosleep, site_nanosleep, 0, &kNoTime},
    {"sys_enter_nanosleep", SYS_nanosleep, site_nanosleep, 0, &kShortTime},
    {"sys_enter_close", SYS_close, site_close, -1},
    {"sys_enter_sched_getscheduler", SYS_sched_getscheduler, site_sched_getscheduler},
};

// Half of the calls where nobody else makes them, the others in the C library.
static void make_calls(unsigned which, int count) {
  const long word = kCall[which].pointer ? (long)kCall[which].pointer : kCall[which].word;
  for (int i = 0; i < count / 2; ++i) kCall[which].site(word, 0, 0, 0, 0, 0);
  for (int i = count / 2; i < count; ++i) syscall(kCall[which].number, word, 0, 0, 0, 0, 0);
}

static void check_calls(const struct tally* tallies, int kinds, unsigned which, int count) {
  long before[2 * kCountings];
  for (int kind = 0; kind < kinds; ++kind) before[kind] = of_this_thread(tallies[kind]);
  make_calls(which, count);
  for (int kind = 0; kind < kinds; ++kind) {
    const long more = of_this_thread(tallies[kind]) - before[kind];
    if (more != count)
      printf("%s, %s: %ld, not %d\n", kCall[which].event, kCounting[tallies[kind].counting].name, more, count);
  }
}

// Each way to count alone, with events and with the raw tracepoint.
static void ways_to_count(void) {
  for (enum counting counting = 0; counting < kCountings; ++counting)
    for (int raw = 0; raw < 2; ++raw) {
      const struct place place = {raw ? NULL : "sys_enter_getppid", SYS_getppid, getpid()};
      const struct tally tally = checked_tally(counting, place);
      check_calls(&tally, 1, 0, kMoreCalls);
      end_tally(tally);
    }
}

// All ways at once, at each of the calls.
static void calls_to_count(void) {
  for (unsigned which = 0; which < LENGTH(kCall); ++which) {
    struct tally tallies[kCountings + 1];
    for (enum counting counting = 0; counting < kCountings; ++counting)
      tallies[counting] = checked_tally(counting, of_us(kCall[which].event));
    tallies[kCountings] = checked_tally(kInArray, (struct place){NULL, kCall[which].number, getpid()});
    check_calls(tallies, kCountings + 1, which, kCalls);
    for (int i = 0; i <= kCountings; ++i) end_tally(tallies[i]);
  }
}

// A program that has something to say about the last call, in an array's only element.
struct teller {
  int map, link;
};
static struct teller start_teller(struct place place, int map, const struct bpf_insn* code, unsigned count) {
  struct teller teller = {map, -1};
  const int program = load_at(place, code, count);
  CHECK(program >= 0);
  teller.link = attach_at(place, program);
  close(program);
  return teller;
}
static void told(struct teller teller, void* value) {
  CHECK(ask_map(BPF_MAP_LOOKUP_ELEM, teller.map, 0, value, 0) == 0);
}
static void end_teller(struct teller teller) {
  close(teller.link), close(teller.map);
}

// The number and the words of a call.
static struct teller tell_words(const char* event, int words) {
  const int map = make_map(BPF_MAP_TYPE_ARRAY, 4, 56, 1, 0);
  struct bpf_insn code[30] = {ELEMENT(map, 0), IF_OTHER(0, 0, 2), LEAVE};
  unsigned length = 9;
  for (int i = 0; i <= words; ++i) {
    struct bpf_insn copy[] = {LOAD(1, 6, 8 + 8 * i), STORE(0, 8 * i, 1)};
    if (i == 0) copy[0].code = BPF_LDX | BPF_MEM | BPF_W;  // other kernels do not clear the rest
    memcpy(code + length, copy, sizeof copy), length += LENGTH(copy);
  }
  const struct bpf_insn leave[] = {LEAVE};
  memcpy(code + length, leave, sizeof leave), length += LENGTH(leave);
  return start_teller(of_us(event), map, code, length);
}

static void arguments(void) {
  int64_t found[7];
  const struct teller one = tell_words("sys_enter_close", 1), result = tell_words("sys_exit_close", 1),
                      six = tell_words("sys_enter_copy_file_range", 6), two = tell_words("sys_enter_getppid", 1);
  CHECK(one.link >= 0 && result.link >= 0 && six.link >= 0);
  CHECK(two.link == -1);  // whose event has no words
  for (long i = 0; i < kCalls; ++i) {
    const long words[6] = {-1 - (i << 32), i, -i, INT64_MAX - i, i * i, 0x1234567890 + i};
    CHECK(site_close(-77 - i, 1, 2, 3, 4, 5) == -EBADF);
    if (i % 2)
      site_copy_file_range(words[0], words[1], words[2], words[3], words[4], words[5]);
    else
      syscall(SYS_copy_file_range, words[0], words[1], words[2], words[3], words[4], words[5]);
    if (i % 10) continue;
    told(one, found);
    CHECK(found[0] == SYS_close && found[1] == -77 - i);
    told(result, found);
    CHECK(found[0] == SYS_close && found[1] == -EBADF);
    told(six, found);
    CHECK(found[0] == SYS_copy_file_range && memcmp(found + 1, words, sizeof words) == 0);
  }
  end_teller(one), end_teller(result), end_teller(six), end_teller(two);
}

// The registers that a raw tracepoint finds; those of struct pt_regs.
static void registers_seen(void) {
  enum { kR9 = 8, kR8, kAx, kCx, kDx, kSi, kDi, kOrigAx, kIp, kCs, kFlags, kSp, kSs, kRegisters };
  enum { kR10 = 7, kR11 = 6 };
  const int map = make_map(BPF_MAP_TYPE_ARRAY, 4, 8 * kRegisters, 1, 0);
  const struct bpf_insn code[] = {ELEMENT(map, 0), IF_EQUAL(0, 0, 4),       MOVE(1, 0), SET(2, 8 * kRegisters),
                                  LOAD(3, 6, 0),   HELP(probe_read_kernel), LEAVE};
  const struct teller teller = start_teller((struct place){NULL, SYS_getppid, getpid()}, map, code, LENGTH(code));
  CHECK(teller.link >= 0);
  for (long i = 0; i < kCalls; ++i) {
    uint64_t r[kRegisters] = {0};
    site_getppid(i, i << 40, -i, i + 7, i * i, ~i);
    if (i % 10) continue;
    told(teller, r);
    CHECK(r[kDi] == (uint64_t)i && r[kSi] == (uint64_t)i << 40 && r[kDx] == (uint64_t)-i);
    CHECK(r[kR10] == (uint64_t)i + 7 && r[kR8] == (uint64_t)(i * i) && r[kR9] == (uint64_t)~i);
    CHECK(r[kOrigAx] == SYS_getppid && (int64_t)r[kAx] == -ENOSYS && r[kIp] == (uintptr_t)after_getppid);
    CHECK(r[kCx] == r[kIp] && r[kR11] == r[kFlags]);
    CHECK(r[kSp] < (uintptr_t)__builtin_frame_address(0) && r[kSp] > (uintptr_t)__builtin_frame_address(0) - 4096);
  }
  end_teller(teller);
}

struct facts {
  uint64_t time, pid_tgid, uid_gid, cpu;
  char name[16];
};

static struct facts facts_now(struct teller teller) {
  struct facts facts = {0};
  site_sched_rr_get_interval(-1, 0, 0, 0, 0, 0);
  told(teller, &facts);
  return facts;
}

static uint64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void check_facts(struct teller teller, const char* name) {
  const uint64_t before = nanoseconds();
  const struct facts facts = facts_now(teller);
  CHECK(facts.time >= before && facts.time <= nanoseconds());
  CHECK(facts.pid_tgid == ((uint64_t)getpid() << 32 | (uint32_t)gettid()));
  CHECK(facts.uid_gid == ((uint64_t)getgid() << 32 | getuid()));
  if (strncmp(facts.name, name, sizeof facts.name) != 0) printf("called %.16s, not %s\n", facts.name, name);
}

static void check_cpus(struct teller teller) {
  cpu_set_t whole, one;
  CHECK(sched_getaffinity(0, sizeof whole, &whole) == 0);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (!CPU_ISSET(cpu, &whole) || sched_setaffinity(0, sizeof one, &one) != 0) continue;
    for (int i = 0; i < 100; ++i) CHECK(facts_now(teller).cpu == (uint64_t)cpu);
  }
  sched_setaffinity(0, sizeof whole, &whole);
}

static void* check_of_thread(void* teller) {
  for (int i = 0; i < 100; ++i) {
    prctl(PR_SET_NAME, i % 2 ? "a thread" : "another name");
    check_facts(*(struct teller*)teller, i % 2 ? "a thread" : "another name");
  }
  return NULL;
}

static void name_by_file(const char* name) {
  char path[60];
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", gettid());
  const int fd = open(path, O_WRONLY);
  CHECK(write(fd, name, strlen(name)) == (ssize_t)strlen(name));
  close(fd);
}

// What helpers say. Nobody else makes the call, so that children's count, too.
static void helpers(void) {
  const int map = make_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct facts), 1, 0);
  const struct bpf_insn code[] = {ELEMENT(map, 0),
                                  IF_OTHER(0, 0, 2),
                                  LEAVE,
                                  MOVE(7, 0),
                                  HELP(ktime_get_ns),
                                  STORE(7, 0, 0),
                                  HELP(get_current_pid_tgid),
                                  STORE(7, 8, 0),
                                  HELP(get_current_uid_gid),
                                  STORE(7, 16, 0),
                                  HELP(get_smp_processor_id),
                                  STORE(7, 24, 0),
                                  MOVE(1, 7),
                                  ADD(1, 32),
                                  SET(2, 16),
                                  HELP(get_current_comm),
                                  LEAVE};
  struct teller teller = start_teller((struct place){"sys_enter_sched_rr_get_interval", 0, 0}, map, code, LENGTH(code));
  CHECK(teller.link >= 0);
  for (int i = 0; i < 200; ++i) {
    const char* name = i / 50 % 2 ? "some name" : "fifteen letters";
    if (i % 100 == 0)
      prctl(PR_SET_NAME, name);
    else if (i % 50 == 0)
      name_by_file(name);
    check_facts(teller, name);
  }
  check_cpus(teller);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, check_of_thread, &teller) == 0);
  pthread_join(thread, NULL);
  check_facts(teller, "some name");
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 50; ++i) check_facts(teller, "some name");
    fflush(stdout);
    const int changed = setgid(1234) == 0 && setuid(4321) == 0;
    site_sched_rr_get_interval(-1, 0, 0, 0, 0, 0);
    _exit(changed);
  }
  const int changed = ended(child);
  struct facts of_child = {0};
  told(teller, &of_child);
  CHECK(of_child.pid_tgid == ((uint64_t)child << 32 | (uint32_t)child));
  CHECK(of_child.uid_gid == (changed ? UINT64_C(1234) << 32 | 4321 : (uint64_t)getgid() << 32 | getuid()));
  end_teller(teller);
}

// The first counts, and the second checks that it has; the third comes and goes.
static void several_programs(int reversed) {
  const int map = make_map(BPF_MAP_TYPE_ARRAY, 4, 24, 1, 0);
  const struct bpf_insn counts[] = {ELEMENT(map, 0), IF_EQUAL(0, 0, 3), LOAD(1, 0, 0),
                                    ADD(1, 1),       STORE(0, 0, 1),    LEAVE};
  const struct bpf_insn checks[] = {
      ELEMENT(map, 0),  IF_EQUAL(0, 0, 8), LOAD(1, 0, 0), LOAD(2, 0, 8),   ADD(2, 1), STORE(0, 8, 2),
      IF_SAME(1, 2, 3), LOAD(1, 0, 16),    ADD(1, 1),     STORE(0, 16, 1), LEAVE};
  struct teller one = {map, -1}, two = {map, -1};
  if (!reversed) one = start_teller(getppid_of_us(), map, counts, LENGTH(counts));
  two = start_teller(getppid_of_us(), map, checks, LENGTH(checks));
  if (reversed) one = start_teller(getppid_of_us(), map, counts, LENGTH(counts));
  CHECK(one.link >= 0 && two.link >= 0);
  call_often(kCalls);
  for (int i = 0; i < 5; ++i) {
    const struct tally third = checked_tally(i, getppid_of_us());
    call_often(100 + i);
    CHECK(of_this_thread(third) == 100 + i);
    close(third.link);
    call_often(10);
    CHECK(of_this_thread(third) == 100 + i);
    close(third.map);
  }
  uint64_t found[3];
  told(one, found);
  CHECK(found[0] == kCalls + 560 && found[1] == found[0]);
  CHECK(found[2] == (reversed ? found[0] : 0));
  close(one.link);
  call_often(10);
  told(two, found);
  CHECK(found[1] == kCalls + 570 && found[0] == kCalls + 560);
  end_teller(two);
}

static void events_off_and_on(void) {
  const struct tally tally = checked_tally(kInArray, getppid_of_us());
  CHECK(ioctl(tally.link, PERF_EVENT_IOC_DISABLE, 0) == 0);
  call_often(100);
  CHECK(of_this_thread(tally) == 100);  // programs of a trace event do not ask its perf events
  CHECK(ioctl(tally.link, PERF_EVENT_IOC_ENABLE, 0) == 0);
  call_often(100);
  CHECK(of_this_thread(tally) == 200);
  const int twin = dup(tally.link);
  close(tally.link);
  call_often(100);
  CHECK(of_this_thread(tally) == 300);
  close(twin);
  call_often(100);
  CHECK(of_this_thread(tally) == 300);
  close(tally.map);
}

// The process changes what the program counts in.
static void changed_maps(enum counting counting) {
  const struct tally tally = checked_tally(counting, getppid_of_us());
  const uint64_t key = key_of(tally), many[64] = {1000}, nothing[64] = {0};
  for (int i = 1; i <= 20; ++i) {
    call_often(100);
    CHECK(of_this_thread(tally) == 100);
    if (counting != kInPerCpuHash) {
      CHECK(ask_map(BPF_MAP_UPDATE_ELEM, tally.map, key, many, BPF_EXIST) == 0);
      call_often(i);
      CHECK(of_this_thread(tally) == 1000 + i);
    }
    CHECK(ask_map(BPF_MAP_DELETE_ELEM, tally.map, key, NULL, 0) == 0);
    CHECK(ask_map(BPF_MAP_LOOKUP_ELEM, tally.map, key, (uint64_t[512]){0}, 0) == -ENOENT);
    call_often(i);
    CHECK(of_this_thread(tally) == i);
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, tally.map, key, nothing, BPF_ANY) == 0);
  }
  end_tally(tally);
}

// Adds what stands in another array, which the process may freeze, to what it has mapped.
static void other_maps(void) {
  const int step = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_RDONLY_PROG);
  const int sums = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
  const volatile uint64_t* sum = mmap(NULL, 4096, PROT_READ, MAP_SHARED, sums, 0);
  CHECK(sum != MAP_FAILED);
  const struct bpf_insn code[] = {ELEMENT(step, 0),  IF_EQUAL(0, 0, 9), LOAD(7, 0, 0), ELEMENT(sums, 0),
                                  IF_EQUAL(0, 0, 1), ADD_TO(0, 0, 7),   LEAVE};
  const struct teller teller = start_teller(getppid_of_us(), sums, code, LENGTH(code));
  CHECK(teller.link >= 0);
  uint64_t expected = 0, more = 0;
  for (more = 0; more < 30; ++more) {
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, step, 0, &more, 0) == 0);
    call_often(20);
    expected += 20 * more;
    CHECK(*sum == expected);
  }
  union bpf_attr freeze = {.map_fd = (uint32_t)step};
  CHECK(bpf_call(BPF_MAP_FREEZE, &freeze) == 0);
  CHECK(ask_map(BPF_MAP_UPDATE_ELEM, step, 0, &more, 0) == -EPERM);
  call_often(20);
  CHECK(*sum == expected + 20 * 29);
  CHECK(load_counting(kInArray, getppid_of_us(), step) == -1 && errno == EACCES);
  munmap((void*)sum, 4096);
  end_teller(teller), close(step);
}

// No room for another element until one goes.
static void full_hash(void) {
  struct tally tally = {kInHash, make_map(BPF_MAP_TYPE_HASH, 4, 8, 1, 0), -1};
  const uint64_t value = 5;
  CHECK(ask_map(BPF_MAP_UPDATE_ELEM, tally.map, 1, &value, 0) == 0);
  const int program = load_counting(kInHash, getppid_of_us(), tally.map);
  tally.link = attach_at(getppid_of_us(), program);
  CHECK(program >= 0 && tally.link >= 0);
  close(program);
  for (int i = 0; i < 20; ++i) {
    call_often(20);
    CHECK(of_this_thread(tally) == 0 && tallied(tally, 1) == 5);
    CHECK(ask_map(BPF_MAP_DELETE_ELEM, tally.map, 1, NULL, 0) == 0);
    call_often(20);
    CHECK(of_this_thread(tally) == 20);
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, tally.map, 1, &value, 0) == -E2BIG);
    CHECK(ask_map(BPF_MAP_DELETE_ELEM, tally.map, key_of(tally), NULL, 0) == 0);
    CHECK(ask_map(BPF_MAP_UPDATE_ELEM, tally.map, 1, &value, 0) == 0);
  }
  end_tally(tally);
}

// Stacks of a program and of the function that it calls, up to 512 bytes together.
static void program_stacks(void) {
  static const struct {
    short own, of_function;
    int fits;
  } sizes[] = {{480, 32, 1}, {288, 200, 1}, {256, 256, 1}, {480, 200, 0}, {512, 8, 0}};
  for (unsigned i = 0; i < LENGTH(sizes); ++i) {
    const int map = counter_map();
    const short top = (short)-sizes[i].own, deep = (short)-sizes[i].of_function;
    const struct bpf_insn code[] = {PUT(10, top, 100),
                                    PUT(10, -16, 20),
                                    SET(1, 5),
                                    CALL_BEHIND(0),
                                    MOVE(7, 0),
                                    LOAD(1, 10, top),
                                    ADD_REG(7, 1),
                                    LOAD(1, 10, -16),
                                    ADD_REG(7, 1),
                                    ELEMENT(map, 0) /* 6 */,
                                    IF_EQUAL(0, 0, 1),
                                    ADD_TO(0, 0, 7),
                                    LEAVE,
                                    PUT(10, -8, 2),
                                    PUT(10, deep, 1),
                                    LOAD(0, 10, deep),
                                    ADD_REG(0, 1),
                                    EXIT};
    struct bpf_insn adjusted[LENGTH(code)];
    memcpy(adjusted, code, sizeof code);
    adjusted[3].imm = LENGTH(code) - 5 - 4;
    const int program = load_at(getppid_of_us(), adjusted, LENGTH(adjusted));
    if (is_claimed_kernel()) CHECK((program >= 0) == sizes[i].fits && (program >= 0 || errno == EACCES));
    if (program >= 0) {
      const int link = attach_at(getppid_of_us(), program);
      const struct tally tally = {kInArray, map, link};
      call_often(kCalls);
      CHECK(of_this_thread(tally) == 126 * kCalls);
      close(link), close(program);
    }
    close(map);
  }
}

int main(void) {
  if (!can_count()) return 0;
  ways_to_count();
  calls_to_count();
  arguments();
  registers_seen();
  helpers();
  several_programs(0), several_programs(1);
  events_off_and_on();
  changed_maps(kInHash), changed_maps(kInLruHash), changed_maps(kInPerCpuHash);
  other_maps();
  full_hash();
  program_stacks();
}
