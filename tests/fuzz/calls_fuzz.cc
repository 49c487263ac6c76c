// SPDX-License-Identifier: Apache-2.0
// Random, nearly valid and mutated bpf(), perf_event_open(), ioctl and mmap calls against the model.
// calls_fuzz [COUNT [SEED]]: COUNT calls (else BPFEMU_FUZZ_CALLS, else 20000). Whatever was asked, a call answers a
// result or an errno in time, writes nothing beyond the buffers that it was given, and leaves nothing behind.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "emu/syscalls/bpf.h"
#include "tests/fuzz/bpf_attrs.h"
#include "tests/fuzz/fuzz_task.h"
#include "tests/fuzz/perf_args.h"
#include "tests/fuzz/samples.h"

// A finding ends the run, wherever it is run.
extern "C" const char* __ubsan_default_options() {
  return "halt_on_error=1:print_stacktrace=1";
}
extern "C" const char* __asan_default_options() {
  return "max_allocation_size_mb=1024";
}

namespace bpfemu::fuzz {

namespace {

constexpr u64 kDefaultCalls = 20'000;
constexpr size_t kPoolLimit = 200;
constexpr u64 kSweepEvery = 2048;         // calls between which everything is closed and must be gone
constexpr u64 kRoom = 1 << 20;            // where MAP_FIXED mappings go
constexpr size_t kKeptOpen = 1;           // the comm of the task, which probes read
constexpr unsigned kSecondsPerCall = 60;  // of a machine that is busy with other things

struct Progress {
  u64 index = 0, seed = 0;
  const char* what = "";
};
Progress progress;

void timed_out(int) {
  char text[200];
  int size = std::snprintf(text, sizeof text, "fuzz: call %lu (%s) of seed %lu hangs\n", progress.index, progress.what,
                           progress.seed);
  (void)!write(STDERR_FILENO, text, static_cast<size_t>(size));
  std::abort();
}

// What each open descriptor of this process is.
std::vector<std::string> open_descriptors() {
  std::vector<std::string> names;
  DIR* dir = opendir("/proc/self/fd");
  while (dirent* entry = readdir(dir)) {
    char target[256];
    ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof target);
    if (size > 0) names.push_back(std::string(entry->d_name) + " -> " + std::string(target, static_cast<size_t>(size)));
  }
  closedir(dir);
  return names;
}

class Fuzzer {
 public:
  explicit Fuzzer(u64 seed) : random_(seed), task_(memory_), source_{random_, memory_, pool_} {
    host_.tasks[task_.tid()] = &task_;
    Options options;
    options.cpus_possible = options.cpus_online = 2;
    auto created = System::create(options, host_, sites_);
    if (!created) std::abort();
    system_ = std::move(*created);
    clear_room();
    baseline_ = open_descriptors().size();
  }

  // False: something is wrong, and was said.
  bool step();
  bool sweep();
  u64 answered = 0, succeeded = 0;

 private:
  s64 call(const char* what, long number, std::array<u64, 6> args);
  s64 unlinked(const char* path);
  void bpf();
  void perf();
  void control();
  void map_memory();
  void paths();
  void fire();
  void keep(u32 command, const bpf_attr& attr, s64 result);
  void clear_room();

  Random random_;
  Memory memory_;
  Pool pool_;
  fakes::FakeHost host_;
  fakes::FakeSites sites_;
  FuzzTask task_;
  Source source_;
  std::unique_ptr<System> system_;
  struct Mapping {
    u64 address, size;
  };
  std::vector<Mapping> mappings_;
  u64 room_ = 0;
  bool mortal_ = true;   // may threads die within calls?
  size_t baseline_ = 0;  // descriptors
  bool good_ = true;
};

// The model's answer; what it leaves to the kernel is not asked.
s64 Fuzzer::call(const char* what, long number, std::array<u64, 6> args) {
  const TracedSyscall* traced = find_traced_syscall(number);
  if (!traced) return -ENOSYS;
  progress.what = what;
  alarm(kSecondsPerCall);
  Call call{task_, number, args};
  if (mortal_ && random_.one_in(50)) task_.die_after(static_cast<int>(random_.below(8)));
  Reply reply = traced->enter(*system_, call);
  task_.revive(reply.kind == Reply::Kind::kAnswered ? reply.value : -1);
  if (reply.kind != Reply::Kind::kAnswered) return -ENOSYS;
  ++answered;
  if (reply.value >= 0) ++succeeded;
  if (reply.value < -4095) {
    std::fprintf(stderr, "fuzz: %s gives %ld, no errno\n", what, reply.value);
    good_ = false;
  }
  return reply.value;
}

void Fuzzer::keep(u32 command, const bpf_attr& attr, s64 result) {
  Descriptor made{static_cast<int>(result), Kind::kMap};
  switch (command) {
    case BPF_MAP_CREATE:
      made.key_size = attr.key_size;
      made.value_size = attr.value_size;
      break;
    case BPF_MAP_GET_FD_BY_ID: break;
    case BPF_OBJ_GET: made.kind = Kind::kProgram; break;
    case BPF_PROG_LOAD:
    case BPF_PROG_GET_FD_BY_ID: made.kind = Kind::kProgram; break;
    case BPF_BTF_LOAD:
    case BPF_BTF_GET_FD_BY_ID: made.kind = Kind::kBtf; break;
    case BPF_RAW_TRACEPOINT_OPEN:
    case BPF_LINK_CREATE:
    case BPF_ITER_CREATE:
    case BPF_ENABLE_STATS:
    case BPF_LINK_GET_FD_BY_ID: made.kind = Kind::kLink; break;
    default: return;
  }
  pool_.add(made);
}

void Fuzzer::bpf() {
  // Commands that make objects come often, so that the others find some.
  static constexpr u32 makers[] = {BPF_MAP_CREATE, BPF_PROG_LOAD,   BPF_PROG_LOAD,
                                   BPF_BTF_LOAD,   BPF_LINK_CREATE, BPF_RAW_TRACEPOINT_OPEN};
  u32 command = static_cast<u32>(random_.one_in(200) ? random_.odd() : random_.below(37));
  if (random_.one_in(3)) command = random_.pick(makers);
  bpf_attr attr = plausible_attr(source_, command);
  if (random_.one_in(5)) {
    auto commands = bpf_commands();
    u64 known = command < commands.size() ? commands[command].attr_size : sizeof attr;
    for (u64 n = 1 + random_.below(3); n > 0; --n) {
      u32 value = static_cast<u32>(random_.odd());
      std::memcpy(reinterpret_cast<u8*>(&attr) + random_.below(known / 4) * 4, &value, sizeof value);
    }
  }
  // A large map takes the machine's memory, a long test run its time, and both may.
  if (command == BPF_MAP_CREATE && u64{attr.max_entries} * (u64{attr.key_size} + attr.value_size + 64) < 1ull << 40) {
    attr.max_entries = std::min(attr.max_entries, 1u << 15);
    attr.value_size = std::min(attr.value_size, 1u << 12);
  }
  if (command == BPF_PROG_TEST_RUN) attr.test.repeat %= 256;

  u64 size = sizeof attr;
  if (random_.one_in(20)) size = random_.one_in(2) ? random_.below(sizeof attr + 1) : random_.odd();
  u64 address = memory_.copy(&attr, sizeof attr);
  if (random_.one_in(100)) address = random_.odd();
  s64 result = call(command < bpf_commands().size() ? bpf_commands()[command].name : "bpf", SYS_bpf,
                    {command, address, size, 0, 0, 0});
  if (result >= 0) keep(command, attr, result);
}

void Fuzzer::perf() {
  const perf_event_attr attr = plausible_event(source_);
  u64 pid = random_.one_in(2) ? ~u64{0} : random_.one_in(2) ? 0 : random_.odd();
  u64 cpu = random_.one_in(10) ? random_.odd() : pid == ~u64{0} ? random_.below(2) : ~u64{0};
  u64 group = random_.one_in(8) ? pool_.fd(random_, Kind::kPerf) : ~u64{0};
  u64 flags = random_.one_in(4) ? random_.below(17) : PERF_FLAG_FD_CLOEXEC;
  u64 address = random_.one_in(100) ? random_.odd() : memory_.copy(&attr, sizeof attr);
  s64 fd = call("perf_event_open", SYS_perf_event_open, {address, pid, cpu, group, flags, 0});
  if (fd >= 0) pool_.add({static_cast<int>(fd), Kind::kPerf});
}

void Fuzzer::control() {
  const Control control = plausible_control(source_);
  call("ioctl", SYS_ioctl, {pool_.fd(random_, Kind::kPerf), control.request, control.argument, 0, 0, 0});
}

// The result is a real mapping of the program's own, so fixed addresses lie in a place where nothing else is.
void Fuzzer::map_memory() {
  if (mappings_.size() > 64 || (!mappings_.empty() && random_.one_in(3))) {
    munmap(reinterpret_cast<void*>(mappings_.back().address), mappings_.back().size);
    mappings_.pop_back();
    return;
  }
  u64 size = random_.one_in(8) ? random_.odd() : 4096 * (1 + random_.below(9));
  u64 offset = random_.one_in(2) ? 0 : random_.one_in(4) ? random_.odd() : 4096 * random_.below(4);
  u64 prot = random_.one_in(2) ? u64{PROT_READ | PROT_WRITE} : random_.below(8);
  u64 flags = random_.one_in(8) ? random_.below(4) : u64{MAP_SHARED};
  u64 fd = pool_.fd(random_, random_.one_in(2) ? Kind::kMap : Kind::kPerf);
  u64 hint = 0;
  if (random_.one_in(3) && size <= kRoom / 2) {
    hint = room_ + 4096 * random_.below(kRoom / 2 / 4096) + (random_.one_in(16) ? 8 : 0);
    flags |= random_.one_in(4) ? u64{MAP_FIXED_NOREPLACE} : u64{MAP_FIXED};
  }
  s64 address = call("mmap", SYS_mmap, {hint, size, prot, flags, fd, offset});
  if (address > 0 && static_cast<u64>(address) - room_ >= kRoom)
    mappings_.push_back({static_cast<u64>(address), (size + 4095) / 4096 * 4096});
}

// Nothing of the model is mapped there now.
void Fuzzer::clear_room() {
  const int fixed = room_ ? MAP_FIXED : 0;
  void* at = mmap(reinterpret_cast<void*>(room_), kRoom, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
  if (at == MAP_FAILED) std::abort();
  room_ = reinterpret_cast<u64>(at);
}

void Fuzzer::paths() {
  // Only d is ever a folder, and it keeps its name, so that sweep() finds all pins.
  static constexpr const char* files[] = {"/sys/fs/bpf/a", "/sys/fs/bpf/b", "/sys/fs/bpf/x.y"};
  u64 path = source_.text(random_path(random_));
  u64 here = static_cast<u64>(AT_FDCWD);
  switch (random_.below(4)) {
    case 0: call("mkdir", SYS_mkdir, {source_.text("/sys/fs/bpf/d"), 0700, 0, 0, 0, 0}); break;
    case 1: call("unlink", SYS_unlink, {path, 0, 0, 0, 0, 0}); break;
    case 2:
      call("rename", SYS_rename, {source_.text(random_.pick(files)), source_.text(random_.pick(files)), 0, 0, 0, 0});
      break;
    default: call("newfstatat", SYS_newfstatat, {here, path, source_.buffer(144), random_.below(2) * 0x100, 0, 0});
  }
}

// What the attached programs wait for.
void Fuzzer::fire() {
  static constexpr long numbers[] = {SYS_openat, SYS_read, SYS_write, SYS_bpf, SYS_nanosleep, -1, 1000};
  progress.what = "a probe";
  alarm(kSecondsPerCall);
  long number = random_.pick(numbers);
  task_.regs().rdx = random_.odd();
  task_.regs().rdi = source_.buffer(64);
  task_.regs().rsi = source_.buffer(64);
  memory_.reset();
  if (random_.one_in(2)) system_->probes->syscall_entered(task_, task_.regs(), number);
  if (random_.one_in(2)) system_->probes->syscall_exited(task_, task_.regs(), number, static_cast<s64>(random_.odd()));
  if (random_.one_in(4)) host_.advance(1'000'000);
  if (!sites_.sites.empty() && random_.one_in(2)) {
    system_->probes->site_hit(task_, sites_.sites.begin()->first, task_.regs());
  }
}

bool Fuzzer::step() {
  memory_.reset();
  u64 choice = random_.below(100);
  if (choice < 70) {
    bpf();
  } else if (choice < 78) {
    perf();
  } else if (choice < 85) {
    control();
  } else if (choice < 89) {
    map_memory();
  } else if (choice < 92) {
    paths();
  } else if (choice < 96) {
    fire();
  } else {
    pool_.close_one(random_);
  }
  while (pool_.size() > kPoolLimit) pool_.close_one(random_);
  if (task_.violations) good_ = false;
  return good_;
}

s64 Fuzzer::unlinked(const char* path) {
  memory_.reset();
  mortal_ = false;
  call("rmdir", SYS_rmdir, {memory_.text(path), 0, 0, 0, 0, 0});
  const s64 result = call("unlink", SYS_unlink, {memory_.text(path), 0, 0, 0, 0, 0});
  mortal_ = true;
  return result;
}

// With everything closed, unmapped and unpinned, no object lives.
bool Fuzzer::sweep() {
  for (const Mapping& m : mappings_) munmap(reinterpret_cast<void*>(m.address), m.size);
  mappings_.clear();
  clear_room();
  pool_.close_all();
  for (const char* path : {"/sys/fs/bpf/d/a", "/sys/fs/bpf/d", "/sys/fs/bpf/a", "/sys/fs/bpf/b", "/sys/fs/bpf/x.y"}) {
    unlinked(path);
  }
  system_->files.release_unmapped([](Extent) { return false; });
  system_->files.reap();
  auto empty = [this](const char* what, bool none) {
    if (none) return;
    std::fprintf(stderr, "fuzz: %s are left when all is closed\n", what);
    good_ = false;
  };
  empty("maps", !system_->maps.next(0));
  for (auto id = system_->maps.next(0); id; id = system_->maps.next(*id)) {
    auto left = system_->maps.find(*id);
    std::fprintf(stderr, "  map %u of type %u, %ld holders\n", *id, (*left)->map().type, left->use_count() - 1);
  }
  empty("programs", !system_->programs.next(0));
  empty("links", !system_->links.next(0));
  auto open = open_descriptors();
  empty("descriptors", open.size() <= baseline_ + kKeptOpen);
  if (open.size() > baseline_ + kKeptOpen) {
    for (const std::string& name : open) std::fprintf(stderr, "  %s\n", name.c_str());
  }
  empty("armed sites", sites_.sites.empty());
  return good_;
}

u64 number(const char* text, u64 otherwise) {
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

int run(u64 count, u64 seed) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);  // as the supervisor does
  signal(SIGALRM, timed_out);

  progress.seed = seed;
  Fuzzer fuzzer(seed);
  for (progress.index = 0; progress.index < count; ++progress.index) {
    bool sweep_now = progress.index % kSweepEvery == kSweepEvery - 1 || progress.index == count - 1;
    if (!fuzzer.step() || (sweep_now && !fuzzer.sweep())) {
      std::fprintf(stderr, "fuzz: call %lu (%s) of seed %lu\n", progress.index, progress.what, seed);
      return 1;
    }
  }
  alarm(0);
  std::printf("%lu calls: %lu answered, %lu of them without an error\n", count, fuzzer.answered, fuzzer.succeeded);
  return 0;
}

}  // namespace

}  // namespace bpfemu::fuzz

int main(int argc, char** argv) {
  using namespace bpfemu::fuzz;
  return run(number(argc > 1 ? argv[1] : std::getenv("BPFEMU_FUZZ_CALLS"), kDefaultCalls),
             number(argc > 2 ? argv[2] : nullptr, 1));
}
