// SPDX-License-Identifier: Apache-2.0
// Where kprobes can be, as a real 6.1 answered, and events with several of them.
#include <sys/syscall.h>

#include "emu/probe/tracepoints.h"
#include "tests/unit/probe/world.h"

namespace bpfemu {
namespace {

using Sort = DynamicEvents::Sort;

int error_of(World& w, std::string_view symbol, u64 offset, bool on_return = false) {
  auto point = kprobe(w.probes, symbol, 0, offset, on_return);
  return point ? 0 : point.error().value;
}

TEST_CASE("kprobes by symbol and offset") {
  World w;
  CHECK(error_of(w, "__x64_sys_getpgid", 0) == 0);
  CHECK(error_of(w, "__x64_sys_getpgid", 0, true) == 0);
  CHECK(error_of(w, "__x64_sys_getpgid", 1) == EILSEQ);
  CHECK(error_of(w, "__x64_sys_getpgid", 4) == EILSEQ);
  CHECK(error_of(w, "__x64_sys_getpgid", 5) == 0);
  CHECK(error_of(w, "__x64_sys_getpgid", 5, true) == EINVAL);
  CHECK(error_of(w, "no_such_function", 0) == ENOENT);
  CHECK(error_of(w, "", 0) == EINVAL);
  CHECK(error_of(w, "do_int3", 0) == EINVAL);             // not to be probed
  CHECK(error_of(w, "kprobe_dispatcher", 0) == EINVAL);
  CHECK(error_of(w, "init_task", 0) == EINVAL);           // data
  CHECK(error_of(w, "runqueues", 0) == ENOENT);           // of each CPU
  CHECK(error_of(w, "__do_sys_ni_syscall", 0) == EINVAL);  // out of ftrace's reach
  CHECK(w.unmodelled.counts().empty());
  CHECK(error_of(w, "__x64_sys_getpgid", 9) == EILSEQ);  // 6.1 knows where instructions begin
  CHECK(error_of(w, "mutex_lock", 0) == 0);              // 6.1 probes it; who would notice is told
  CHECK(w.unmodelled.counts().size() == 1);
}

TEST_CASE("kprobes by address, and behind _text as perf probe writes them") {
  World w;
  const Symbols& symbols = w.kernel.symbols();
  const u64 address = symbols.address("__x64_sys_getpgid");
  u64 ip = 0, func_ip = 0;
  auto noting = make_program(BPF_PROG_TYPE_KPROBE, [&](Run* run, void* context) {
    ip = static_cast<PtRegs*>(context)->rip;
    func_ip = run->func_ip;
    return u64{0};
  });
  PtRegs regs{};
  for (auto& [symbol, at, offset, entry] : {std::tuple("", address, u64{0}, true), {"", address + 5, 0, false},
                                            {"_text", 0, address - symbols.address("_text"), true}}) {
    auto point = kprobe(w.probes, symbol, at, offset, false);
    REQUIRE(point);
    REQUIRE((*point)->attach({noting, 0}));
    w.probes.syscall_entered(w.task, regs, SYS_getpgid);
    CHECK(ip == (entry ? address : address + 5) + 1);
    CHECK(func_ip == (entry ? address : 0));
    ip = 0;
  }
}

TEST_CASE("handlers that 64-bit processes do not reach can be probed and stay silent") {
  World w;
  for (const char* symbol : {"__x64_sys_stat", "__x64_sys_time32", "__x64_sys_chown16"}) {
    INFO(symbol);
    CHECK(error_of(w, symbol, 0) == 0);
  }
  CHECK(w.unmodelled.counts().empty());
  CHECK(error_of(w, "__ia32_sys_openat", 0) == 0);
  CHECK(error_of(w, "__ia32_compat_sys_openat", 0) == 0);
  CHECK(w.unmodelled.counts().size() == 1);  // 32-bit processes do, and that is not seen
  CHECK(error_of(w, "__x64_sys_ni_syscall", 0) == EINVAL);
}

TEST_CASE("a function has several names, and each of them will do") {
  World w;
  for (const char* name : {"__x64_sys_getppid", "__ia32_sys_getppid", "__do_sys_getppid"}) {
    INFO(name);
    auto point = kprobe(w.probes, name, 0, 0, false);
    REQUIRE(point);
    CHECK((*point)->where().syscalls.test(SYS_getppid));
  }
}

TEST_CASE("the probes of one event run its programs, whenever they come") {
  World w;
  auto write = [&](const char* line) {
    auto done = w.dynamic_events.write(Sort::kKprobe, line, nullptr);
    return done ? 0 : done.error().value;
  };
  REQUIRE(write("p:g/two __x64_sys_getpgid") == 0);
  auto event = w.dynamic_events.find("g", "two");
  auto opened = tracepoint(w.probes, event->id);
  REQUIRE(opened);
  auto point = *opened;
  u64 runs = 0;
  auto program = make_program(BPF_PROG_TYPE_KPROBE, [&](Run*, void*) { return ++runs, u64{0}; });
  PtRegs regs{};
  auto pass = [&] {
    w.probes.syscall_entered(w.task, regs, SYS_getpgid);
    w.probes.syscall_entered(w.task, regs, SYS_close);
    return std::exchange(runs, 0);
  };
  CHECK(pass() == 0);
  CHECK(w.dynamic_events.profile(false).find(" 1 ") != std::string::npos);  // counted without a program
  REQUIRE(point->attach({program, 0}));
  CHECK(pass() == 1);
  CHECK(write("p:g/two __x64_sys_close") == 0);
  CHECK(pass() == 2);
  CHECK(write("-:g/two __x64_sys_getpgid") == 0);
  CHECK(pass() == 1);
  CHECK(write("-:g/two") == EBUSY);
  point->detach(*program);
  CHECK(pass() == 0);
  CHECK(w.dynamic_events.profile(false) ==
        "  two                                                        3               0\n");
  *opened = point = nullptr;
  CHECK(write("-:g/two") == 0);
}

TEST_CASE("a probe of a module that is not loaded can be opened") {
  World w;
  REQUIRE(w.dynamic_events.write(Sort::kKprobe, "p:g/later some_module:function", nullptr));
  CHECK(tracepoint(w.probes, w.dynamic_events.find("g", "later")->id));
}

}  // namespace
}  // namespace bpfemu
