// SPDX-License-Identifier: Apache-2.0
// The claimed kernel's recorded facts and the tables over them.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "emu/hook/functions.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/syscall_names.h"
#include "emu/kernel/trace_log.h"
#include "emu/kernel/user_file.h"
#include "tests/fakes/ports.h"

namespace bpfemu {
namespace {

const KernelData& kernel() {
  static const Profile kProfile = default_profile();
  static const KernelData kKernel(kProfile);
  return kKernel;
}

TEST_CASE("the profile is Debian's 6.1") {
  Profile profile = default_profile();
  CHECK(profile.release.starts_with("6.1.0-"));
  CHECK(profile.version.find("Debian 6.1.") != std::string::npos);
  CHECK(profile.code >> 8 == 0x0601);
  CHECK((profile.code & 0xff) > 0);
  CHECK(profile.banner.starts_with("Linux version " + profile.release));
}

TEST_CASE("events have 6.1's ids and formats") {
  const Events& events = kernel().events();
  const TraceEvent* openat = events.find("syscalls", "sys_enter_openat");
  REQUIRE(openat);
  CHECK(openat->id == 659);
  CHECK(events.find(659) == openat);
  CHECK(openat->format.starts_with("name: sys_enter_openat\nID: 659\nformat:\n"));
  CHECK(openat->format.ends_with("((unsigned long)(REC->mode))\n"));
  auto fields = fields_of(openat->format);
  REQUIRE(fields.size() == 9);
  CHECK(fields[6].type == "const char *");
  CHECK(fields[6].name == "filename");
  CHECK(fields[6].offset == 24);
  CHECK(fields[3].is_signed);
  auto exec = fields_of(events.find("sched", "sched_process_exec")->format);
  CHECK(exec[4].type == "__data_loc char[]");
  CHECK(events.find("sched", "nothing") == nullptr);
  CHECK(events.find(~0u) == nullptr);
  CHECK(events.of_system("raw_syscalls").size() == 2);
  for (const TraceEvent& event : events.all()) {
    CHECK(event.id != 0);
    CHECK(event.id < events.next_id());
  }
}

TEST_CASE("every system call has a number, a handler symbol and its events") {
  std::set<u32> seen;
  for (const SyscallName& call : syscall_names()) {
    CHECK(seen.insert(call.number).second);
    CHECK(syscall_name(call.number) == &call);
    CHECK(kernel().symbols().address(std::string("__x64_sys_") + call.entry) != 0);
    const TraceEvent* event = kernel().events().find("syscalls", std::string("sys_enter_") + call.entry);
    CHECK((event != nullptr) == call.traced);
    if (event) CHECK(fields_of(event->format).size() == 5u + call.parameter_count);
  }
  CHECK(seen.size() > 340);
  CHECK(std::string(syscall_name(SYS_stat)->entry) == "newstat");
  CHECK(syscall_by_entry("openat")->number == SYS_openat);
  CHECK(std::string(syscall_name(SYS_openat)->parameters[1].name) == "filename");
  CHECK(syscall_name(100000) == nullptr);
}

TEST_CASE("addresses belong to symbols inside the kernel's image alone") {
  const Symbols& symbols = kernel().symbols();
  u64 start = symbols.address("schedule");
  auto place = symbols.locate(start + 5);
  REQUIRE(place);
  CHECK(place->name == "schedule");
  CHECK(place->offset == 5);
  CHECK(place->size == symbols.end_of(*symbols.at(start)) - start);
  CHECK(symbols.locate(symbols.address("_end") - 1));
  CHECK_FALSE(symbols.locate(symbols.address("_end")));
  CHECK_FALSE(symbols.locate(symbols.address("_stext") - 1));
  CHECK_FALSE(symbols.locate(0));
}

TEST_CASE("symbols") {
  const Symbols& symbols = kernel().symbols();
  u64 openat2 = symbols.address("do_sys_openat2");
  REQUIRE(openat2 != 0);
  CHECK(symbols.at(openat2)->name == "do_sys_openat2");
  CHECK(symbols.at(openat2 + 5)->name == "do_sys_openat2");
  CHECK(symbols.end_of(*symbols.at(openat2)) > openat2);
  CHECK(symbols.address("no_such_symbol") == 0);
  for (const char* name : {"x64_sys_call", "do_syscall_64", "dragonos_kernel::syscall::Syscall::handle",
                           "__bpf_call_base", "bpf_map_lookup_elem", "bpf_get_raw_tracepoint"}) {
    INFO(name);
    CHECK(symbols.address(name) != 0);
  }
  CHECK(symbols.address("bpf_trampoline_link_prog") != 0);  // as bcc asks for fentry
  // What system calls come through: each a symbol of its own, so that addresses have one name.
  for (const char* name : {"x64_sys_call", "do_syscall_64", "dragonos_kernel::syscall::Syscall::handle"}) {
    INFO(name);
    CHECK(symbols.count(name) == 1);
    CHECK(symbols.at(symbols.address(name))->name == name);
    CHECK(kernel().is_traceable(name));
    std::string line = std::string("\n") + name + "\n";
    CHECK(kernel().traceable_functions().find(line) == kernel().traceable_functions().rfind(line));
  }
  CHECK(symbols.address("do_syscall_64") == 0xffffffff81a43dc0);
  CHECK(std::ranges::is_sorted(symbols.all(), {}, &Symbol::address));
  std::string listing = symbols.listing(true);
  CHECK(listing.find(" t do_sys_openat2\n") != std::string::npos);
  CHECK(symbols.listing(false).starts_with("0000000000000000 "));
  const std::string& functions = kernel().traceable_functions();
  CHECK(functions.find("\ndo_sys_openat2\n") != std::string::npos);
  CHECK(functions.find("\n__x64_sys_openat\n") != std::string::npos);
}

TEST_CASE("stacks") {
  struct Row {
    StackPart part;
    long call;
    std::string_view frames;
  };
  constexpr long kEvery = -1;
  const Row rows[] = {
#define KERNEL_FRAMES(part, of, frames, next) {StackPart::part, of, frames},
#include "emu/abi/kernel_stacks.inc"
#undef KERNEL_FRAMES
  };
  for (const Row& row : rows) {
    INFO(int(row.part) << " in " << row.call);
    // What a part of every call lies in may be a part of certain calls.
    const bool of_any = row.call != kEvery && (row.call & kAnyCall) == kAnyCall;
    const long first = of_any ? row.call & ~kAnyCall : row.call;
    const long last = of_any || row.call == kEvery ? std::max(first, 0L) + static_cast<long>(kSyscallLimit) : first;
    bool found = false;
    for (long call = first; call <= last && !found; ++call) {
      KernelFrames frames;
      found = kernel().stacks().append(row.part, call, frames) && frames.count > 0;
    }
    CHECK(found == !row.frames.empty());  // what is known not to be recorded has none
  }
  KernelFrames frames;
  CHECK_FALSE(kernel().stacks().append(StackPart::kFork, SYS_getpid, frames));
  frames = {};
  REQUIRE(kernel().stacks().append(StackPart::kCloser, SYS_close, frames));
  REQUIRE(frames.count == 3);
  CHECK(frames.ips[0] == kernel().symbols().address("__x64_sys_close") + 13);
  CHECK(kernel().symbols().at(frames.ips[2])->name == "entry_SYSCALL_64_after_hwframe");
}

TEST_CASE("recorded files") {
  CHECK(kernel().config().find("CONFIG_BPF_SYSCALL=y\n") != std::string::npos);
  CHECK(kernel().file("kprobes/blacklist").find("asm_exc_divide_error\n") != std::string_view::npos);
  CHECK(kernel().file("trace/available_tracers") == "blk mmiotrace function_graph function nop\n");
  CHECK(kernel().file("nothing").empty());
}

// A thread whose memory is our own.
class OwnMemory : public Task {
 public:
  pid_t tid() const override { return ::getpid(); }
  pid_t tgid() const override { return ::getpid(); }
  Result<void> read(u64 address, void* to, size_t size) override {
    if (address == 0) return fail(EFAULT);
    __builtin_memcpy(to, reinterpret_cast<const void*>(address), size);
    return {};
  }
  Result<void> write(u64, const void*, size_t) override { return fail(EFAULT); }
  Result<std::string> read_string(u64, size_t) override { return fail(EFAULT); }
  PtRegs& regs() override { return regs_; }
  Result<u64> call(long, std::array<u64, 6>) override { return fail(ENOSYS); }
  Result<int> install_fd(int, bool) override { return fail(ENOSYS); }
  Result<u64> map_file(int, std::span<const FilePiece>) override { return fail(ENOSYS); }
  Result<FileId> file_id(int) override { return fail(EBADF); }
  Result<int> reopen_fd(int, int) override { return fail(EBADF); }
  Result<u64> scratch(size_t) override { return fail(ENOMEM); }

 private:
  PtRegs regs_{};
};

TEST_CASE("functions that every call comes by") {
  u64 scratch[6] = {};
  const KernelCall call{SYS_openat, {static_cast<u64>(-100), 0x1234, O_CREAT | O_WRONLY, 0644}, 0xabc, scratch};

  const KernelFunction* handler = find_kernel_function("__x64_sys_openat");
  REQUIRE(handler);
  CHECK(handler->syscalls.count() == 1);
  CHECK(handler->syscalls.test(SYS_openat));
  Arguments out;
  handler->arguments(call, out);
  CHECK(out[0] == 0xabc);

  const KernelFunction* dragonos = find_kernel_function("dragonos_kernel::syscall::Syscall::handle");
  REQUIRE(dragonos);
  CHECK(dragonos->syscalls.all());
  dragonos->arguments(call, out);
  CHECK(out[1] == SYS_openat);
  CHECK(reinterpret_cast<const u64*>(out[2])[1] == 0x1234);

  const KernelFunction* inner = find_kernel_function("do_sys_openat2");
  REQUIRE(inner);
  CHECK(inner->syscalls.count() == 4);
  REQUIRE(inner->hook);
  CHECK(find_kernel_function("mutex_lock") == nullptr);
  for (const char* name : {"do_syscall_64", "x64_sys_call", "ksys_read", "close_fd"}) {
    REQUIRE(find_kernel_function(name));
    CHECK(kernel().symbols().address(name) != 0);
  }
}

TEST_CASE("a file of uprobes is its inode, not its name") {
  fakes::FakeTask task;
  CHECK(UserFile::open(task, "/no/such/file").error() == Errno{ENOENT});
  CHECK(UserFile::open(task, "/tmp").error() == Errno{EINVAL});
  CHECK(UserFile::open(task, "/dev/null").error() == Errno{EINVAL});
  CHECK((*UserFile::open(task, "/proc/self/status"))->check_offset(0).error() == Errno{EIO});

  char path[] = "/tmp/user_file.XXXXXX";
  const UniqueFd fd(mkstemp(path));
  REQUIRE(write(fd.get(), "0123456789", 10) == 10);
  const auto named = *UserFile::open(task, path);
  CHECK(named->check_offset(10));
  CHECK(named->check_offset(11).error() == Errno{EINVAL});
  CHECK(named->read(8, 16) == std::vector<u8>{'8', '9'});
  CHECK(named->read(20, 16).empty());
  REQUIRE(unlink(path) == 0);
  const auto deleted = *UserFile::open(task, "/proc/self/fd/" + std::to_string(fd.get()));
  CHECK(deleted->id() == named->id());
  CHECK(deleted->read(0, 2) == std::vector<u8>{'0', '1'});
}

std::string drained(int fd) {
  char buffer[4096];
  ssize_t size = ::read(fd, buffer, sizeof buffer);
  return {buffer, static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

TEST_CASE("the trace buffer hands each line to one reader") {
  TraceLog log;
  TraceContext context{.comm = "cat", .pid = 1234, .cpu = 1, .time_ns = 12345678900, .flags = "...21"};
  log.bpf_printk(context, "before");
  CHECK(log.listing(2).ends_with("             cat-1234    [001] ...21    12.345679: bpf_trace_printk: before\n"));
  auto reader = log.open_pipe(true);
  REQUIRE(reader);
  CHECK(drained(reader->get()) == "             cat-1234    [001] ...21    12.345679: bpf_trace_printk: before\n");
  CHECK(drained(reader->get()).empty());
  log.bpf_printk(context, "after\n");
  CHECK(drained(reader->get()).ends_with("bpf_trace_printk: after\n"));
  log.enabled = false;
  log.bpf_printk(context, "off");
  CHECK(drained(reader->get()).empty());
}

}  // namespace
}  // namespace bpfemu
