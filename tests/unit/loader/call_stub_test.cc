// SPDX-License-Identifier: Apache-2.0
// Calls that a process decides by itself: what is patched, and the code that decides, run as it stands in a process.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "loader/call_site.h"
#include "emu/runtime/inside/map_index.h"
#include "emu/runtime/maps/array.h"
#include "loader/call_stub.h"
#include "loader/inside.h"
#include "loader/short_stub.h"
#include "loader/start_code.h"
#include "loader/stub_area.h"

using namespace bpfemu;
using Gate = PathTable::Gate;

namespace {

constexpr u64 kNoFollow = AT_SYMLINK_NOFOLLOW, kEmpty = AT_EMPTY_PATH;

std::unique_ptr<PathTable> open_table() {
  std::unique_ptr<PathTable> table = std::move(*PathTable::create());
  table->ask({});
  for (const Gate gate : {Gate::kRelative, Gate::kEmpty, Gate::kAbsolute}) table->open(gate, true);
  return table;
}

bool lstats(const PathTable& table, const char* path) {
  return table.passes(SYS_lstat, {}, path);
}

// What is left of a site: behind the jump a two-byte jump to `ask`, and the return that a native call comes to.
struct Ground {
  u8 jump[5];
  u8 over[2] = {0xeb, 0x01};
  u8 native = 0xc3;
  u8 ask[8] = {0x48, 0xc7, 0xc0, 0x9c, 0xff, 0xff, 0xff, 0xc3};  // mov $-100,%rax; ret
};
constexpr long kAsked = -100;

u64 word(const void* pointer) {
  return reinterpret_cast<u64>(pointer);
}

// Stub and table where they are in a process, for one call.
class Process {
 public:
  Process(const PathTable& table, long number, const JumpBytes& start = {0xb8}) {
    table_ = ::shmat(table.key(), at(kTableAddress), SHM_RDONLY);
    area_ = ::mmap(at(kStubArea), kStubAreaSize, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    REQUIRE(table_ == at(kTableAddress));
    REQUIRE(area_ == at(kStubArea));
    const CallSite site{static_cast<u32>(number), start};
    const Stub stub = build_stub(*path_shape(number), site, word(ground()), kStubArea);
    REQUIRE(stub.code.size() <= kStubCode);
    std::memcpy(area_, stub.code.data(), stub.code.size());
  }
  // From now on the calls are those of a site that makes all.
  void shorten(bool image) {
    const Ground* const here = ground();
    const ShortStub stub = build_short_stub(word(&here->native), word(here->ask), image);
    REQUIRE(stub.code.size() <= kShortStubSize - sizeof(ShortLabel));
    for (const ShortStub::Part& part : stub.parts) CHECK((part.begin < part.done && part.done <= part.end));
    std::memcpy(at(kShortStubArea), stub.code.data(), stub.code.size());
    entry_ = kShortStubArea;
  }
  ~Process() {
    ::shmdt(table_);
    ::munmap(area_, kStubAreaSize);
  }

  // The call, and whether all but what a call destroys was as before.
  long call(u64 a, u64 b, u64 c, u64 d) {
    long result = rax;
    u64 before = 0, after = 0;
    register u64 r10 asm("r10") = d;
    u64 di = a, si = b, dx = c;
    asm volatile(
        "sub $256, %%rsp\n stc\n std\n pushfq\n pop %[before]\n call *%[stub]\n pushfq\n pop %[after]\n cld\n add "
        "$256, %%rsp\n"
        : "+&a"(result), [before] "=&r"(before), [after] "=&r"(after), "+D"(di), "+S"(si), "+d"(dx), "+r"(r10)
        : [stub] "r"(entry_)
        : "rcx", "r11", "memory", "cc");
    CHECK((before & 0xed5) == (after & 0xed5));
    CHECK((di == a && si == b && dx == c && r10 == d));
    return result;
  }

  // For sites that do not set it.
  long rax = 0;

 private:
  static void* at(u64 address) { return reinterpret_cast<void*>(address); }
  static Ground* ground() {
    constexpr u64 kGround = 0x30000000;  // no code of ours lies near it
    static void* const page = ::mmap(at(kGround), kPageSize, PROT_READ | PROT_WRITE | PROT_EXEC,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    REQUIRE(page == at(kGround));
    return new (page) Ground;
  }
  void *table_, *area_;
  u64 entry_ = kStubArea;
};

// The image with one map: an array of eight numbers that carrier `fd` leads to.
class Image {
 public:
  explicit Image(int fd) {
    place(kInsideImage, kPageSize * 16), place(kInsideState, kInsideEnd - kInsideState), place(kMap, sizeof(Memory));
    std::memcpy(at(kInsideImage), image_bytes().data(), image_bytes().size());
    struct stat st {};
    REQUIRE(::fstat(fd, &st) == 0);
    memory().index.device = st.st_dev;
    REQUIRE(memory().index.add(st.st_ino, &memory().map, true));
    ArrayMap& map = memory().map;
    map.type = BPF_MAP_TYPE_ARRAY, map.key_size = 4, map.value_size = 8, map.max_entries = 8, map.cpus = 1;
    map.values = word(memory().values) - word(&map), map.stride = 8;
    for (u64 i = 0; i < 8; ++i) memory().values[i] = 1000 + i;
    auto* const state = new (at(kInsideState)) InsideState;
    state->arena_end = kInsideEnd, state->maps = &memory().index;
    memory().index.shares = &state->shares;
  }
  ~Image() {
    ::munmap(at(kInsideImage), kPageSize * 16);
    ::munmap(at(kInsideState), kInsideEnd - kInsideState);
    ::munmap(at(kMap), sizeof(Memory));
  }
  InsideSlot& slot(u64 i) { return *reinterpret_cast<InsideSlot*>(kInsideSlots + i * kInsideSlotSize); }
  void forget(int fd) {
    struct stat st {};
    REQUIRE(::fstat(fd, &st) == 0);
    memory().index.remove(st.st_ino);
  }

 private:
  struct Memory {
    MapIndex index;
    ArrayMap map;
    u64 values[8];
    u8 rest[kPageSize];
  };
  static constexpr u64 kMap = 0x20000000;  // nowhere near

  static void* at(u64 address) { return reinterpret_cast<void*>(address); }
  static void place(u64 address, u64 size) {
    REQUIRE(::mmap(at(address), size, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at(address));
  }
  Memory& memory() { return *reinterpret_cast<Memory*>(kMap); }
};

// Where a program begins whose start has been run, in a child of its own.
constexpr u8 kFirstStubs[] = {1, 2, 3, 4, 5};
constexpr int kStarted = 42;
[[noreturn]] void begins(u64 di, u64 si, u64 dx) {
  const bool copied = std::memcmp(reinterpret_cast<const void*>(kStubArea), kFirstStubs, sizeof kFirstStubs) == 0;
  const bool attached = *reinterpret_cast<const volatile s32*>(kTableAddress) != 0;
  ::_exit(copied && attached && di == 7 && si == 8 && dx == ~u64{0} ? kStarted : 1);
}

// How a child ends that runs the code, with the registers that it is to restore.
int start(int table) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGTRAP, SIG_DFL);
    const u64 entry = reinterpret_cast<u64>(&begins), near = (entry & ~u64{4095}) - (u64{64} << 20);
    void* const page = ::mmap(reinterpret_cast<void*>(near), 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page == MAP_FAILED) ::_exit(2);
    PtRegs regs = {};
    regs.rip = entry, regs.rdi = 7, regs.rsi = 8, regs.rdx = ~u64{0};
    const BuiltStart built = build_start({word(page), kStubAreaSize, kFirstStubs, table}, regs);
    std::memcpy(page, built.code.data(), built.code.size());
    asm volatile("and $-16, %%rsp\n sub $8, %%rsp\n jmp *%0" : : "r"(page) : "memory");
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

TEST_CASE("a name in a folder is the host's unless the tree has it anywhere") {
  const auto table = open_table();
  table->deny("sys"), table->deny("system");
  for (const char* name : {"a", "passwd", "sy", "sysx", "syste", "systemd", "..a", ".git", "..."})
    CHECK(lstats(*table, name));
  for (const char* name : {"", ".", "..", "sys", "system", "a/b", "a/", "/a", "sys/a", "sysx/"})
    CHECK_FALSE(lstats(*table, name));
  CHECK_FALSE(table->passes(SYS_stat, {}, "a"));  // it may be a link
  table->open(Gate::kRelative, false);
  CHECK_FALSE(lstats(*table, "a"));
}

TEST_CASE("an absolute path is the host's once it was admitted, until it is forgotten") {
  const auto table = open_table();
  CHECK(table->admit("/etc/passwd", true));
  CHECK(table->admit("/etc", true));
  CHECK(table->passes(SYS_stat, {}, "/etc/passwd"));
  CHECK(table->passes(SYS_stat, {}, "/etc"));
  CHECK_FALSE(lstats(*table, "/etc/passwd"));
  for (const char* path : {"/etc/", "/etc/passw", "/etc/passwd2", "/", "etc/passwd"})
    CHECK_FALSE(table->passes(SYS_stat, {}, path));
  table->forget();
  CHECK_FALSE(table->passes(SYS_stat, {}, "/etc/passwd"));
  CHECK(table->admit("/etc/passwd", true));
  table->open(Gate::kAbsolute, false);
  CHECK_FALSE(table->passes(SYS_stat, {}, "/etc/passwd"));
}

TEST_CASE("flags say whether a link is followed, and what an empty path means") {
  const auto table = open_table();
  const auto at = [&](u64 flags, const char* path) { return table->passes(SYS_newfstatat, {0, 0, 0, flags}, path); };
  CHECK(at(kNoFollow, "a"));
  CHECK_FALSE(at(0, "a"));
  CHECK(at(kEmpty, ""));
  CHECK(at(kEmpty | kNoFollow, ""));
  CHECK_FALSE(at(kNoFollow, ""));
  table->open(Gate::kEmpty, false);
  CHECK_FALSE(at(kEmpty, ""));
  const auto opens = [&](u64 flags, const char* path) { return table->passes(SYS_openat, {0, 0, flags}, path); };
  table->admit("/tmp/a", true);
  CHECK(opens(O_NOFOLLOW | O_DIRECTORY, "a"));
  CHECK_FALSE(opens(O_DIRECTORY, "a"));
  CHECK_FALSE(opens(O_NOFOLLOW | O_CREAT, "a"));
  CHECK_FALSE(opens(O_NOFOLLOW | O_TMPFILE, "a"));
  CHECK(opens(O_RDWR | O_CLOEXEC, "/tmp/a"));
  CHECK_FALSE(opens(O_NOFOLLOW, "/tmp/a"));
}

TEST_CASE("a program begins with stubs and table, or at an int3") {
  const auto table = open_table();
  CHECK(start(table->key()) == kStarted);
  CHECK(start(-1) == -SIGTRAP);
}

TEST_CASE("mappings are the kernel's while nobody minds") {
  const auto table = open_table();
  CHECK_FALSE(table->passes(SYS_mmap, {}, ""));
  table->open(Gate::kMapping, true);
  CHECK(table->passes(SYS_mmap, {}, ""));
  Process process(*table, SYS_mmap);
  CHECK(process.call(0, 0, PROT_READ, MAP_PRIVATE) == -EINVAL);  // of no bytes
  table->ask(SyscallSet().set(SYS_mmap));
  CHECK_FALSE(table->passes(SYS_mmap, {}, ""));
  CHECK(process.call(0, 0, PROT_READ, MAP_PRIVATE) == kAsked);
}

TEST_CASE("calls that somebody listens to are asked about") {
  const auto table = open_table();
  SyscallSet heard;
  heard.set(SYS_lstat);
  table->ask(heard);
  CHECK_FALSE(lstats(*table, "a"));
  CHECK(table->passes(SYS_newfstatat, {0, 0, 0, kNoFollow}, "a"));
  CHECK_FALSE(table->passes(SYS_mkdir, {}, "a"));
}

TEST_CASE("one form is patched, by a jump that reaches") {
  const std::optional<CallSite> sets = call_site({0xb8, 4, 1, 0, 0, 0x0f, 0x05}, 260);
  REQUIRE(sets);
  CHECK(sets->start == JumpBytes{0xb8, 4, 1, 0, 0});
  CHECK(sets->sets_number());
  const std::optional<CallSite> other = call_site({0xbf, 0x9c, 0xff, 0xff, 0xff, 0x0f, 0x05}, 260);
  REQUIRE(other);
  CHECK_FALSE(other->sets_number());
  CHECK(call_site({0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05}, 321));  // as in syscall(2)
  CHECK_FALSE(call_site({0x4c, 0x8b, 0x4c, 0x24, 0x10, 0x0f, 0x05}, 321));
  CHECK_FALSE(call_site({0xb8, 4, 1, 0, 0, 0x0f, 0x05}, 261));
  CHECK_FALSE(call_site({0xb9, 4, 1, 0, 0, 0x0f, 0x05}, 260));
  CHECK_FALSE(call_site({0xb8, 4, 1, 0, 0, 0x0f, 0x34}, 260));
  CHECK(jump_to(0x1000, 0x1005) == JumpBytes{0xe9, 0, 0, 0, 0});
  CHECK(jump_to(0x2000, 0x1000) == JumpBytes{0xe9, 0xfb, 0xef, 0xff, 0xff});
  CHECK_FALSE(jump_to(0x7f0000000000, 0x550000000000));
  CHECK(jump_target(0x2000, {0xe9, 0xfb, 0xef, 0xff, 0xff}) == 0x1000);
  CHECK(jump_target(0x2000, sets->start) == 0);
  CHECK(in_one_line(0x103b));
  CHECK_FALSE(in_one_line(0x103c));
}

TEST_CASE("stubs decide as the table does, and touch nothing") {
  const auto table = open_table();
  table->deny("sys");
  table->admit("/dev/null", true);
  struct stat st {};
  {
    Process process(*table, SYS_newfstatat);
    CHECK(process.call(static_cast<u64>(AT_FDCWD), word("no-such-file"), word(&st), kNoFollow) == -ENOENT);
    CHECK(process.call(static_cast<u64>(AT_FDCWD), word("no-such-file"), word(&st), 0) == kAsked);
    CHECK(process.call(static_cast<u64>(AT_FDCWD), word("sys"), word(&st), kNoFollow) == kAsked);
    CHECK(process.call(0, word(""), word(&st), kEmpty) == 0);
    CHECK(process.call(static_cast<u64>(AT_FDCWD), word("/dev/null"), word(&st), 0) == 0);
    CHECK(S_ISCHR(st.st_mode));
  }
  {
    Process process(*table, SYS_openat);
    const long fd = process.call(static_cast<u64>(AT_FDCWD), word("/dev/null"), O_RDONLY, 0);
    CHECK(fd >= 0);
    ::close(static_cast<int>(fd));
    CHECK(process.call(static_cast<u64>(AT_FDCWD), word("/dev/null"), O_CREAT, 0) == kAsked);
    CHECK(process.call(static_cast<u64>(AT_FDCWD), word("no-such-file"), O_NOFOLLOW, 0) == -ENOENT);
  }
  {
    constexpr u64 kHere = 0xffffff9c;  // AT_FDCWD
    Process process(*table, SYS_openat, {0xbf, 0x9c, 0xff, 0xff, 0xff});
    process.rax = SYS_openat;
    const long fd = process.call(kHere, word("/dev/null"), O_RDONLY, 0);
    CHECK(fd >= 0);
    ::close(static_cast<int>(fd));
    CHECK(process.call(kHere, word("sys"), O_RDONLY, 0) == kAsked);
    process.rax = SYS_mkdirat;
    CHECK(process.call(kHere, word("/dev/null"), O_RDONLY, 0) == kAsked);
  }
  {
    Process process(*table, SYS_stat);
    CHECK(process.call(word("/dev/null"), word(&st), 0, 0) == 0);
    CHECK(process.call(word("/dev/nul"), word(&st), 0, 0) == kAsked);
    SyscallSet all;
    table->ask(all.set());
    CHECK(process.call(word("/dev/null"), word(&st), 0, 0) == kAsked);
  }
}

TEST_CASE("the image answers what it can, and touches nothing") {
  const auto table = open_table();
  table->open(Gate::kMaps, true);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  Image image(ends[0]);
  Process process(*table, SYS_bpf, {0x4c, 0x8b, 0x4c, 0x24, 0x08});
  process.rax = SYS_bpf;
  u32 key = 3;
  u64 value = 0;
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(ends[0]), attr.key = word(&key), attr.value = word(&value);
  const auto ask = [&](bpf_cmd command, u64 size = sizeof(bpf_attr)) { return process.call(command, word(&attr), size, 5); };
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == 0);
  CHECK(value == 1003);
  key = 8;
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == -ENOENT);
  CHECK(ask(BPF_MAP_GET_NEXT_KEY) == 0);
  CHECK(static_cast<u32>(value) == 0);
  key = 7;
  CHECK(ask(BPF_MAP_GET_NEXT_KEY) == -ENOENT);
  CHECK(ask(BPF_MAP_LOOKUP_ELEM, 24) == 0);
  CHECK(value == 1007);
  // Everything else is asked.
  CHECK(ask(BPF_MAP_UPDATE_ELEM) == kAsked);
  CHECK(ask(BPF_MAP_LOOKUP_ELEM, 23) == kAsked);
  CHECK(ask(BPF_MAP_LOOKUP_ELEM, 1 << 20) == kAsked);
  attr.flags = BPF_F_LOCK;
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == kAsked);
  attr.flags = 0, attr.key = kInsideSlots;
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == kAsked);
  attr.key = word(&key), attr.map_fd = static_cast<u32>(ends[1]) + 1000;
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == kAsked);
  attr.map_fd = static_cast<u32>(ends[0]);
  for (u64 i = 0; i + 1 < kInsideSlotCount; ++i) image.slot(i).busy = 1;
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == 0);
  image.slot(kInsideSlotCount - 1).busy = 1;
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == kAsked);
  for (u64 i = 0; i < kInsideSlotCount; ++i) image.slot(i).busy = 0;
  image.forget(ends[0]);
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == kAsked);
  process.rax = SYS_getpid;
  CHECK(ask(BPF_MAP_LOOKUP_ELEM) == kAsked);
  ::close(ends[0]), ::close(ends[1]);
}

TEST_CASE("a site that makes all calls decides each by its number") {
  const auto table = open_table();
  table->deny("sys");
  table->admit("/dev/null", true);
  struct stat st {};
  constexpr u64 kHere = static_cast<u64>(AT_FDCWD);
  Process process(*table, SYS_stat);
  process.shorten(false);
  process.rax = SYS_newfstatat;
  CHECK(process.call(kHere, word("no-such-file"), word(&st), kNoFollow) == -ENOENT);
  CHECK(process.call(kHere, word("no-such-file"), word(&st), 0) == kAsked);
  CHECK(process.call(kHere, word("sys"), word(&st), kNoFollow) == kAsked);
  CHECK(process.call(0, word(""), word(&st), kEmpty) == 0);
  process.rax = SYS_stat;
  CHECK(process.call(word("/dev/null"), word(&st), 0, 0) == 0);
  CHECK(S_ISCHR(st.st_mode));
  process.rax = SYS_openat;
  CHECK(process.call(kHere, word("no-such-file"), O_NOFOLLOW, 0) == -ENOENT);
  CHECK(process.call(kHere, word("/dev/null"), O_CREAT, 0) == kAsked);
  for (const long number : {long{SYS_getpid}, long{SYS_read}, long{SYS_mmap}, long{SYS_bpf}, 511l}) {
    process.rax = number;
    CHECK(process.call(kHere, word("no-such-file"), word(&st), kNoFollow) == kAsked);
  }
  table->open(Gate::kMapping, true);
  process.rax = SYS_mmap;
  CHECK(process.call(0, 0, PROT_READ, MAP_PRIVATE) == -EINVAL);  // of no bytes
}
