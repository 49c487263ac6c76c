// SPDX-License-Identifier: Apache-2.0
// Random calls of several processes at once, to be run under bpfemu: while some of them make nearly valid and mutated
// bpf(), perf_event_open(), ioctl, mmap and read calls and are killed at any moment, others own objects that must go
// on to answer correctly.
// tracee_fuzz [COUNT [SEED]] (else BPFEMU_FUZZ_CALLS, else 20000): exit status 0 when nothing was lost, nothing hung,
// and nothing is left in the supervisor when all is closed.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/fuzz/perf_args.h"
#include "tests/fuzz/survivor.h"

namespace bpfemu::fuzz {

namespace {

constexpr u64 kDefaultCalls = 20'000;
constexpr int kWorkers = 4, kSurvivors = 2;
constexpr size_t kPoolLimit = 60;
constexpr u64 kPatience = 120;  // seconds without any call, on a machine that is busy with other things
constexpr u64 kRoom = 1 << 20;  // where MAP_FIXED mappings go

struct Shared {
  std::atomic<u64> calls, succeeded;
  std::atomic<u64> checks[kSurvivors];
  std::atomic<int> stop, lost;
  char doing[kWorkers][32];
};
Shared* shared;

double seconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void sleep_us(long us) {
  const timespec t{us / 1'000'000, us % 1'000'000 * 1000};
  nanosleep(&t, nullptr);
}

// One process that calls at random until it is killed.
class Worker {
 public:
  Worker(int number, u64 seed) : number_(number), random_(seed), source_{random_, memory_, pool_} {
    room_ = mmap(nullptr, kRoom, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  [[noreturn]] void run() {
    for (;;) step();
  }

 private:
  long call(const char* what, long number, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0, u64 f = 0) {
    std::snprintf(shared->doing[number_], sizeof shared->doing[number_], "%s(%ld)", what, static_cast<long>(a));
    const long result = syscall(number, a, b, c, d, e, f);
    ++shared->calls;
    if (result >= 0) ++shared->succeeded;
    return result;
  }
  void step();
  void bpf();
  void perf();
  void control();
  void map_memory();
  void read_event();
  void paths();

  int number_;
  Random random_;
  Memory memory_;
  Pool pool_;
  Source source_;
  void* room_;
};

// What the result of a command is, when it is a descriptor.
bool made_by(u32 command, Kind& kind) {
  switch (command) {
    case BPF_MAP_CREATE:
    case BPF_MAP_GET_FD_BY_ID: return kind = Kind::kMap, true;
    case BPF_PROG_LOAD:
    case BPF_OBJ_GET:
    case BPF_PROG_GET_FD_BY_ID: return kind = Kind::kProgram, true;
    case BPF_BTF_LOAD:
    case BPF_BTF_GET_FD_BY_ID: return kind = Kind::kBtf, true;
    case BPF_RAW_TRACEPOINT_OPEN:
    case BPF_LINK_CREATE:
    case BPF_ITER_CREATE:
    case BPF_ENABLE_STATS:
    case BPF_LINK_GET_FD_BY_ID: return kind = Kind::kLink, true;
    default: return false;
  }
}

// Commands that change objects found by id would change the survivors'.
bool is_foreign(u32 command) {
  return command == BPF_MAP_GET_FD_BY_ID || command == BPF_LINK_GET_FD_BY_ID || command == BPF_PROG_GET_FD_BY_ID;
}

void Worker::bpf() {
  static constexpr u32 makers[] = {BPF_MAP_CREATE, BPF_PROG_LOAD,   BPF_PROG_LOAD,
                                   BPF_BTF_LOAD,   BPF_LINK_CREATE, BPF_RAW_TRACEPOINT_OPEN};
  u32 command = static_cast<u32>(random_.one_in(200) ? random_.odd() : random_.below(37));
  if (random_.one_in(3)) command = random_.pick(makers);
  if (is_foreign(command)) return;
  bpf_attr attr = plausible_attr(source_, command);
  if (random_.one_in(5)) {
    for (u64 n = 1 + random_.below(3); n > 0; --n) {
      const u32 value = static_cast<u32>(random_.odd());
      std::memcpy(reinterpret_cast<u8*>(&attr) + random_.below(sizeof attr / 8) * 4, &value, sizeof value);
    }
  }
  if (command == BPF_MAP_CREATE) {
    attr.max_entries = std::min(attr.max_entries, 1u << 13);
    attr.value_size = std::min(attr.value_size, 1u << 10);
    attr.key_size = std::min(attr.key_size, 1u << 10);
  }
  // A run without end lasts until the worker is killed, and may not disturb anybody.
  if (command == BPF_PROG_TEST_RUN) attr.test.repeat = random_.one_in(500) ? 2'000'000'000 : attr.test.repeat % 256;
  u64 size = sizeof attr;
  if (random_.one_in(20)) size = random_.one_in(2) ? random_.below(sizeof attr + 1) : random_.odd();
  u64 address = memory_.copy(&attr, sizeof attr);
  if (random_.one_in(100)) address = random_.odd();
  const long result = call("bpf", SYS_bpf, command, address, size);
  Descriptor made{static_cast<int>(result), Kind::kMap};
  if (result < 0 || !made_by(command, made.kind)) return;
  if (command == BPF_MAP_CREATE) made.key_size = attr.key_size, made.value_size = attr.value_size;
  pool_.add(made);
}

void Worker::perf() {
  const perf_event_attr attr = plausible_event(source_);
  // Always of this process: what others do is their own.
  const u64 pid = random_.one_in(8) ? ~u64{0} : random_.one_in(8) ? random_.odd() : 0;
  const u64 cpu = pid == ~u64{0} ? random_.below(2) : ~u64{0};
  const u64 group = random_.one_in(8) ? pool_.fd(random_, Kind::kPerf) : ~u64{0};
  const u64 flags = random_.one_in(4) ? random_.below(17) : PERF_FLAG_FD_CLOEXEC;
  const u64 address = random_.one_in(100) ? random_.odd() : memory_.copy(&attr, sizeof attr);
  const long fd = call("perf_event_open", SYS_perf_event_open, address, pid, cpu, group, flags);
  if (fd >= 0) pool_.add({static_cast<int>(fd), Kind::kPerf});
}

void Worker::control() {
  const Control control = plausible_control(source_);
  call("ioctl", SYS_ioctl, pool_.fd(random_, Kind::kPerf), control.request, control.argument);
}

// Fixed addresses lie in a place of their own, where nothing else of the program is.
void Worker::map_memory() {
  const u64 size = random_.one_in(20) ? random_.odd() : 4096 * (1 + random_.below(9));
  const u64 offset = random_.one_in(2) ? 0 : random_.one_in(4) ? random_.odd() : 4096 * random_.below(4);
  const u64 prot = random_.one_in(2) ? u64{PROT_READ | PROT_WRITE} : random_.below(4);
  u64 flags = random_.one_in(8) ? random_.below(4) : u64{MAP_SHARED}, address = 0;
  if (random_.one_in(2) && size <= kRoom / 2) {
    address = reinterpret_cast<u64>(room_) + 4096 * random_.below(kRoom / 2 / 4096) + (random_.one_in(16) ? 8 : 0);
    flags |= random_.one_in(4) ? u64{MAP_FIXED_NOREPLACE} : u64{MAP_FIXED};
  }
  const u64 fd = pool_.fd(random_, random_.one_in(2) ? Kind::kMap : Kind::kPerf);
  const long at = call("mmap", SYS_mmap, address, size, prot, flags, fd, offset);
  if (at < 0 || (static_cast<u64>(at) - reinterpret_cast<u64>(room_)) < kRoom) return;
  munmap(reinterpret_cast<void*>(at), size);
}

void Worker::read_event() {
  static constexpr Kind kinds[] = {Kind::kPerf, Kind::kPerf, Kind::kMap, Kind::kProgram, Kind::kLink};
  const u64 size = random_.below(64);
  call("read", SYS_read, pool_.fd(random_, random_.pick(kinds)), source_.buffer(size), size);
}

void Worker::paths() {
  const u64 path = source_.text(random_path(random_));
  struct stat st;
  switch (random_.below(5)) {
    case 0: call("mkdir", SYS_mkdir, source_.text("/sys/fs/bpf/d"), 0700); break;
    case 1: call("unlink", SYS_unlink, path); break;
    case 2: call("stat", SYS_stat, path, reinterpret_cast<u64>(&st)); break;
    case 3: {
      const long fd = call("open", SYS_open, source_.text("/sys/kernel/debug/tracing/available_events"), O_RDONLY);
      if (fd >= 0) close(static_cast<int>(fd));
      break;
    }
    default: call("fstat", SYS_fstat, pool_.fd(random_, Kind::kMap), reinterpret_cast<u64>(&st));
  }
}

void Worker::step() {
  memory_.reset();
  const u64 choice = random_.below(100);
  if (choice < 66) {
    bpf();
  } else if (choice < 74) {
    perf();
  } else if (choice < 81) {
    control();
  } else if (choice < 87) {
    map_memory();
  } else if (choice < 91) {
    read_event();
  } else if (choice < 95) {
    paths();
  } else {
    pool_.close_one(random_);
  }
  while (pool_.size() > kPoolLimit) pool_.close_one(random_);
}

pid_t start_worker(int number, u64 seed) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  Worker(number, seed).run();
}

pid_t start_survivor(int number) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Survivor survivor;
  while (!shared->stop && survivor.check()) {
    ++shared->checks[number];
    sleep_us(2000);
  }
  if (!shared->stop) ++shared->lost;
  _exit(shared->stop ? 0 : 1);
}

// How large its table of descriptors has grown: what of a process that is not dumpable may be known.
size_t descriptors_of(pid_t pid) {
  FILE* const file = std::fopen(("/proc/" + std::to_string(pid) + "/status").c_str(), "r");
  if (!file) return 0;
  size_t size = 0;
  for (char line[256]; size == 0 && std::fgets(line, sizeof line, file);)
    if (std::sscanf(line, "FDSize: %zu", &size) != 1) size = 0;
  std::fclose(file);
  return size;
}

long kilobytes_of(pid_t pid) {
  FILE* const file = std::fopen(("/proc/" + std::to_string(pid) + "/statm").c_str(), "r");
  long total = 0, resident = 0;
  if (file && std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
  if (file) std::fclose(file);
  return resident * 4;
}

// Is any object of the kind alive?
bool any_left(u32 command) {
  bpf_attr attr{};
  return syscall(SYS_bpf, command, &attr, sizeof attr) == 0;
}

bool clean_up() {
  const double end = seconds() + 30;
  for (;;) {
    for (const char* path : {"/sys/fs/bpf/d/a", "/sys/fs/bpf/a", "/sys/fs/bpf/b", "/sys/fs/bpf/x.y"}) unlink(path);
    rmdir("/sys/fs/bpf/d");
    const bool left = any_left(BPF_MAP_GET_NEXT_ID) || any_left(BPF_PROG_GET_NEXT_ID) || any_left(BPF_LINK_GET_NEXT_ID);
    if (!left) return true;
    if (seconds() > end) return false;
    sleep_us(50'000);
  }
}

// Kills a worker now and then and starts another. False: something was lost, or nothing moves.
bool storm(u64 count, Random& random) {
  pid_t workers[kWorkers], survivors[kSurvivors];
  u64 seed = random.next(), kills = 0, last = 0;
  for (int i = 0; i < kSurvivors; ++i) survivors[i] = start_survivor(i);
  for (int i = 0; i < kWorkers; ++i) workers[i] = start_worker(i, ++seed);
  double moved = seconds();
  while (shared->calls < count && !shared->lost) {
    sleep_us(static_cast<long>(random.below(30'000)));
    const int victim = static_cast<int>(random.below(kWorkers));
    kill(workers[victim], SIGKILL);
    int status = 0;
    if (waitpid(workers[victim], &status, 0) != workers[victim] || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
      std::printf("a worker ended with status %#x at %s\n", status, shared->doing[victim]);
    workers[victim] = start_worker(victim, ++seed);
    ++kills;
    const u64 calls = shared->calls;
    if (calls != last) moved = seconds();
    last = calls;
    if (seconds() - moved > static_cast<double>(kPatience)) {
      std::printf("nothing moves:");
      for (auto& doing : shared->doing) std::printf(" %s", doing);
      std::printf("\n");
      break;
    }
  }
  const bool moving = shared->calls >= count;
  for (pid_t pid : workers) kill(pid, SIGKILL);
  for (pid_t pid : workers) waitpid(pid, nullptr, 0);
  shared->stop = 1;
  bool whole = true;
  for (pid_t pid : survivors) {
    int status = 0;
    whole = waitpid(pid, &status, 0) == pid && status == 0 && whole;
  }
  u64 checks = 0;
  for (const auto& each : shared->checks) checks += each;
  std::printf("%lu calls, %lu without an error, %lu processes killed, %lu checks of the survivors\n",
              shared->calls.load(), shared->succeeded.load(), kills, checks);
  return moving && whole && checks > 0;
}

int run(u64 count, u64 seed) {
  constexpr size_t kMoreDescriptors = 4;    // times as many
  constexpr long kMoreMemory = 256 * 1024;  // KiB: freed memory that AddressSanitizer keeps, too
  setvbuf(stdout, nullptr, _IOLBF, 0);
  void* const page = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared = new (page) Shared{};
  Random random(seed);
  const pid_t supervisor = getppid();
  // A first round, so that everything has been touched once.
  bool good = storm(std::min(count / 10, u64{20'000}), random) && clean_up();
  const size_t descriptors = descriptors_of(supervisor);
  const long memory = kilobytes_of(supervisor);
  shared->calls = shared->succeeded = 0;
  shared->stop = shared->lost = 0;
  for (auto& each : shared->checks) each = 0;
  good = storm(count, random) && good;
  if (!clean_up()) good = false, std::printf("objects are left when all is closed\n");
  const size_t descriptors_now = descriptors_of(supervisor);
  const long memory_now = kilobytes_of(supervisor);
  std::printf("supervisor: room for %zu descriptors, then %zu; %ld KiB, then %ld\n", descriptors, descriptors_now,
              memory, memory_now);
  if (descriptors_now == 0 || descriptors_now > kMoreDescriptors * descriptors)
    good = false, std::printf("descriptors leak\n");
  if (memory_now > memory + kMoreMemory) good = false, std::printf("memory leaks\n");
  return good ? 0 : 1;
}

u64 number(const char* text, u64 otherwise) {
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

}  // namespace

}  // namespace bpfemu::fuzz

int main(int argc, char** argv) {
  using namespace bpfemu::fuzz;
  return run(number(argc > 1 ? argv[1] : std::getenv("BPFEMU_FUZZ_CALLS"), kDefaultCalls),
             number(argc > 2 ? argv[2] : nullptr, 1));
}
