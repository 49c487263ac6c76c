// SPDX-License-Identifier: Apache-2.0
// Which programs run when, and what they find in their contexts.
#include <sys/syscall.h>

#include "emu/base/bytes.h"
#include "emu/probe/attach.h"
#include "emu/probe/tracepoints.h"
#include "tests/unit/probe/world.h"

namespace bpfemu {
namespace {

template <class T>
T at(const void* context, size_t offset) {
  return load<T>(static_cast<const u8*>(context) + offset);
}

PtRegs openat_regs() {
  PtRegs regs{};
  regs.rdi = 0xffffff9c;
  regs.rsi = 0x7000;
  regs.rdx = 2;
  regs.r10 = 0644;
  regs.r8 = 5;
  regs.r9 = 6;
  regs.orig_rax = SYS_openat;
  regs.rax = ~u64{0};
  return regs;
}

TEST_CASE("a syscall tracepoint sees number and arguments, and only its own call") {
  World w;
  auto point = tracepoint(w.probes, w.event_id("syscalls", "sys_enter_openat"));
  REQUIRE(point);
  CHECK(w.host.entry.none());
  std::vector<u64> seen;
  auto program = make_program(BPF_PROG_TYPE_TRACEPOINT, [&](Run* run, void* context) {
    CHECK(run->task->tid == static_cast<u32>(w.task.tid()));
    CHECK(run->task->uid == 7);
    CHECK(run->cookie == 99);
    seen.push_back(at<u64>(context, 8));
    for (int i = 0; i < 6; ++i) seen.push_back(at<u64>(context, 16 + 8 * i));
    return u64{1};
  });
  REQUIRE((*point)->attach({program, 99}));
  CHECK(w.host.entry.count() == 1);
  CHECK(w.host.entry[SYS_openat]);
  CHECK(w.host.exit.none());

  PtRegs regs = openat_regs();
  w.probes.syscall_entered(w.task, regs, SYS_openat);
  CHECK(seen == std::vector<u64>{SYS_openat, 0xffffff9c, 0x7000, 2, 0644, 5, 6});
  w.probes.syscall_entered(w.task, regs, SYS_close);
  w.probes.syscall_exited(w.task, regs, SYS_openat, 3);
  w.probes.syscall_entered(w.task, regs, -1);
  w.probes.syscall_entered(w.task, regs, 100000);
  CHECK(seen.size() == 7);

  (*point)->detach(*program);
  CHECK(w.host.entry.none());
}

TEST_CASE("exit tracepoints see the result") {
  World w;
  auto point = tracepoint(w.probes, w.event_id("raw_syscalls", "sys_exit"));
  REQUIRE(point);
  s64 number = 0, result = 0;
  REQUIRE((*point)->attach({make_program(BPF_PROG_TYPE_TRACEPOINT,
                                         [&](Run*, void* context) {
                                           number = at<s64>(context, 8);
                                           result = at<s64>(context, 16);
                                           return u64{0};
                                         }),
                            0}));
  CHECK(w.host.exit.all());
  PtRegs regs{};
  w.probes.syscall_exited(w.task, regs, 21, -2);
  CHECK(number == 21);
  CHECK(result == -2);
}

TEST_CASE("programs of one call run in the kernel's order") {
  World w;
  std::string order;
  auto note = [&](u32 type, char c) {
    return make_program(type, [&order, c](Run*, void*) { return order += c, u64{0}; });
  };
  std::vector<std::unique_ptr<Point>> points;
  auto probe = [&](const char* symbol, bool on_return, char c) {
    auto point = kprobe(w.probes, symbol, 0, 0, on_return);
    REQUIRE(point);
    REQUIRE((*point)->attach({note(BPF_PROG_TYPE_KPROBE, c), 0}));
    points.push_back(std::move(*point));
  };
  probe("do_sys_openat2", false, 'i');
  probe("__x64_sys_openat", false, 'h');
  probe("__x64_sys_openat", false, 'H');  // the newer kprobe runs first
  probe("x64_sys_call", false, 'd');
  auto tp = tracepoint(w.probes, w.event_id("syscalls", "sys_enter_openat"));
  REQUIRE((*tp)->attach({note(BPF_PROG_TYPE_TRACEPOINT, 't'), 0}));
  REQUIRE((*tp)->attach({note(BPF_PROG_TYPE_TRACEPOINT, 'u'), 0}));
  probe("do_sys_openat2", true, 'I');
  probe("__x64_sys_openat", true, 'R');
  PtRegs regs = openat_regs();
  w.probes.syscall_entered(w.task, regs, SYS_openat);
  CHECK(order == "tudHhi");
  order.clear();
  w.probes.syscall_exited(w.task, regs, SYS_openat, 3);
  CHECK(order == "IR");
}

TEST_CASE("a kprobe on a system call's handler gets a pointer to the user's registers") {
  World w;
  auto entry = kprobe(w.probes, "__x64_sys_openat", 0, 0, false);
  auto exit = kprobe(w.probes, "__x64_sys_openat", 0, 0, true);
  REQUIRE(entry);
  REQUIRE(exit);
  u64 path = 0, result = 0, ip = 0;
  REQUIRE((*entry)->attach({make_program(BPF_PROG_TYPE_KPROBE,
                                         [&](Run* run, void* context) {
                                           auto* regs = static_cast<PtRegs*>(context);
                                           CHECK(in_arena(regs->rdi, sizeof(PtRegs)));
                                           path = reinterpret_cast<PtRegs*>(regs->rdi)->rsi;
                                           ip = run->func_ip;
                                           CHECK(regs->rip == ip + 1);
                                           return u64{0};
                                         }),
                            0}));
  REQUIRE((*exit)->attach({make_program(BPF_PROG_TYPE_KPROBE,
                                        [&](Run*, void* context) {
                                          result = static_cast<PtRegs*>(context)->rax;
                                          return u64{0};
                                        }),
                           0}));
  PtRegs regs = openat_regs();
  w.probes.syscall_entered(w.task, regs, SYS_openat);
  w.probes.syscall_exited(w.task, regs, SYS_openat, -13);
  CHECK(path == 0x7000);
  CHECK(result == static_cast<u64>(-13));
  CHECK(ip == w.kernel.symbols().address("__x64_sys_openat"));
}

TEST_CASE("system call numbers are in rsi of the dispatchers") {
  World w;
  for (const char* symbol : {"x64_sys_call", "do_syscall_64", "dragonos_kernel::syscall::Syscall::handle"}) {
    auto point = kprobe(w.probes, symbol, 0, 0, false);
    INFO(symbol);
    REQUIRE(point);
    u64 number = 0;
    REQUIRE((*point)->attach({make_program(BPF_PROG_TYPE_KPROBE,
                                           [&](Run*, void* context) {
                                             number = static_cast<PtRegs*>(context)->rsi;
                                             return u64{0};
                                           }),
                              0}));
    PtRegs regs{};
    w.probes.syscall_entered(w.task, regs, 39);
    CHECK(number == 39);
  }
  CHECK(w.host.entry.none());
}

TEST_CASE("a function returns only where the call came that far") {
  World w;
  int entered = 0, returned = 0;
  auto probe = [&](const char* symbol, bool on_return) {
    auto point = kprobe(w.probes, symbol, 0, 0, on_return);
    REQUIRE(point);
    int& count = on_return ? returned : entered;
    REQUIRE((*point)->attach({make_program(BPF_PROG_TYPE_KPROBE, [&](Run*, void*) { return u64(++count); }), 0}));
    return std::move(*point);
  };
  auto call = [&](PtRegs regs, long number, s64 result) {
    w.probes.syscall_entered(w.task, regs, number);
    w.probes.syscall_exited(w.task, regs, number, result);
  };
  auto entry = probe("ksys_mmap_pgoff", false), exit = probe("ksys_mmap_pgoff", true);
  PtRegs regs{};
  regs.r9 = 1;  // mmap(2) refuses the offset itself
  call(regs, SYS_mmap, -EINVAL);
  CHECK((entered == 0 && returned == 0));
  regs.r9 = 4096;
  call(regs, SYS_mmap, -EINVAL);
  CHECK((entered == 1 && returned == 1));
  // A new task does not return from its creator's functions.
  auto clone = probe("__x64_sys_clone", true), dispatch = probe("x64_sys_call", true);
  call({}, SYS_clone, 4242);
  CHECK(returned == 3);
  w.probes.syscall_exited(w.task, regs, SYS_clone, 0);
  CHECK(returned == 3);
}

TEST_CASE("kprobes that cannot be") {
  World w;
  CHECK(kprobe(w.probes, "no_such_function", 0, 0, false).error() == Errno{ENOENT});
  CHECK(kprobe(w.probes, "__x64_sys_openat", 0, 3, true).error() == Errno{EINVAL});
  CHECK(w.unmodelled.counts().empty());
  CHECK(kprobe(w.probes, "__x64_sys_openat", 0, 3, false).error() == Errno{EILSEQ});
  // The claimed kernel has it, and the model never passes it.
  const auto missing = kprobe(w.probes, "mutex_lock", 0, 0, false);
  REQUIRE(missing);
  CHECK((*missing)->check_modelled().error() == Errno{ENOENT});
  CHECK(w.unmodelled.counts().contains("kprobe mutex_lock"));
  u64 address = w.kernel.symbols().address("__x64_sys_close");
  auto by_address = kprobe(w.probes, "", address, 0, false);
  REQUIRE(by_address);
  CHECK((*by_address)->where().syscalls[SYS_close]);
}

TEST_CASE("process events") {
  World w;
  TaskFacts child{.tid = 4242, .tgid = 4242};
  w.host.task_facts[4242] = child;
  auto attach = [&](const char* system, const char* name, auto body) {
    auto point = tracepoint(w.probes, w.event_id(system, name));
    REQUIRE(point);
    REQUIRE((*point)->attach({make_program(BPF_PROG_TYPE_TRACEPOINT, body), 0}));
    return *point;
  };
  int ran = 0;
  auto fork = attach("sched", "sched_process_fork", [&](Run*, void* context) {
    CHECK(std::string(static_cast<char*>(context) + 8) == "tester");
    CHECK(at<s32>(context, 24) == w.task.tid());
    CHECK(at<s32>(context, 44) == 4242);
    return u64(++ran);
  });
  auto exec = attach("sched", "sched_process_exec", [&](Run*, void* context) {
    u32 location = at<u32>(context, 8);
    CHECK(std::string(static_cast<char*>(context) + (location & 0xffff)) == "/bin/true");
    CHECK(location >> 16 == 10);
    CHECK(at<s32>(context, 12) == w.task.tid());
    CHECK(at<s32>(context, 16) == 77);
    return u64(++ran);
  });
  auto exit = attach("sched", "sched_process_exit", [&](Run*, void* context) {
    CHECK(at<s32>(context, 24) == w.task.tid());
    CHECK(at<s32>(context, 28) == 120);
    return u64(++ran);
  });
  auto signal = attach("signal", "signal_generate", [&](Run*, void* context) {
    CHECK(at<s32>(context, 8) == 15);
    CHECK(at<s32>(context, 16) == 0);
    CHECK(std::string(static_cast<char*>(context) + 20) == "victim");
    CHECK(at<s32>(context, 36) == 4242);
    CHECK(at<s32>(context, 40) == 1);
    return u64(++ran);
  });
  CHECK_FALSE(w.probes.awaits_deliveries());
  auto delivery = attach("signal", "signal_deliver", [&](Run*, void* context) {
    CHECK(at<s32>(context, 8) == 10);
    CHECK(at<s32>(context, 12) == 5);
    CHECK(at<s32>(context, 16) == -6);
    CHECK(at<u64>(context, 24) == 0x401000);
    CHECK(at<u64>(context, 32) == 0x14000000);
    return u64(++ran);
  });
  CHECK(w.probes.awaits_deliveries());
  w.probes.task_forked(w.task, 4242, false);
  w.probes.task_executed(w.task, 77, "/bin/true");
  PtRegs regs{};
  w.probes.signal_delivered(
      w.task, regs, {.signal = 10, .error = 5, .code = -6, .handler = 0x401000, .flags = 0x14000000});
  w.probes.signal_generated(&w.task, {.signal = 15, .target = 4242, .comm = "victim", .group = true});
  w.probes.task_exiting(w.task, 0);
  CHECK(ran == 5);
  std::string long_path(8192, 'x');
  exec->detach(*exec->programs()[0].program);
  w.probes.task_executed(w.task, 77, long_path);
}

TEST_CASE("an exec with a path longer than a record") {
  World w;
  auto point = tracepoint(w.probes, w.event_id("sched", "sched_process_exec"));
  size_t length = 0;
  REQUIRE((*point)->attach({make_program(BPF_PROG_TYPE_TRACEPOINT,
                                         [&](Run*, void* context) {
                                           length =
                                               strlen(static_cast<char*>(context) + (at<u32>(context, 8) & 0xffff));
                                           return u64{0};
                                         }),
                            0}));
  w.probes.task_executed(w.task, 1, std::string(9000, 'x'));
  CHECK(length == kContextSize - 20 - 1);
}

TEST_CASE("raw tracepoints get their arguments") {
  World w;
  u64 number = 0, rsi = 0;
  auto program = make_program(BPF_PROG_TYPE_RAW_TRACEPOINT, [&](Run*, void* context) {
    rsi = reinterpret_cast<PtRegs*>(at<u64>(context, 0))->rsi;
    number = at<u64>(context, 8);
    return u64{0};
  });
  auto link = attach_raw_tracepoint(w.probes, "sys_enter", program);
  REQUIRE(link);
  CHECK(w.host.entry.all());
  PtRegs regs = openat_regs();
  w.probes.syscall_entered(w.task, regs, SYS_openat);
  CHECK(number == SYS_openat);
  CHECK(rsi == 0x7000);
  std::string name;
  bpf_link_info info{};
  (*link)->fill_info(info, name);
  CHECK(name == "sys_enter");
  CHECK((*link)->fdinfo() == "tp_name:\tsys_enter\n");
  CHECK(attach_raw_tracepoint(w.probes, "sys_enter", program).error() == Errno{EEXIST});
  CHECK(attach_raw_tracepoint(w.probes, "sys_exit", program));
  link->reset();
  CHECK(w.host.entry.none());
  CHECK(attach_raw_tracepoint(w.probes, "sys_enter", program));

  CHECK(attach_raw_tracepoint(w.probes, "no_such_tracepoint", program).error() == Errno{ENOENT});
  CHECK(w.unmodelled.counts().empty());
  // The claimed kernel has it, and the model never passes it: a program hangs there when nobody would notice its runs.
  CHECK(attach_raw_tracepoint(w.probes, "sched_migrate_task", program));
  CHECK(w.unmodelled.counts().empty());
  Insn call{};
  call.code = BPF_JMP | BPF_CALL;
  program->verified.insns = {call};
  CHECK(attach_raw_tracepoint(w.probes, "sched_migrate_task", program).error() == Errno{ENOENT});
  CHECK(w.unmodelled.counts().contains("raw tracepoint sched_migrate_task"));
  program->verified.max_ctx_offset = 24;
  CHECK(attach_raw_tracepoint(w.probes, "sys_enter", program).error() == Errno{EINVAL});
}

TEST_CASE("sched tracepoints hand out task_structs") {
  World w;
  w.host.task_facts[4242] = TaskFacts{.tid = 4242, .tgid = 4242};
  u64 parent = 0, child = 0;
  auto link = attach_raw_tracepoint(w.probes, "sched_process_fork",
                                    make_program(BPF_PROG_TYPE_RAW_TRACEPOINT, [&](Run*, void* context) {
                                      parent = at<u64>(context, 0);
                                      child = at<u64>(context, 8);
                                      return u64{0};
                                    }));
  REQUIRE(link);
  w.probes.task_forked(w.task, 4242, false);
  CHECK(parent == 0x1000u + w.task.tid());
  CHECK(child == 0x1000u + 4242);
}

TEST_CASE("at most 64 programs hang on one point") {
  World w;
  auto point = tracepoint(w.probes, w.event_id("syscalls", "sys_enter_read"));
  auto program = [] { return make_program(BPF_PROG_TYPE_TRACEPOINT, [](Run*, void*) { return u64{0}; }); };
  for (int i = 0; i < 64; ++i) REQUIRE((*point)->attach({program(), 0}));
  CHECK((*point)->attach({program(), 0}).error() == Errno{E2BIG});
  CHECK((*point)->attach((*point)->programs()[0]).error() == Errno{E2BIG});
}

TEST_CASE("all who open an event share its point; unknown ids are EINVAL") {
  World w;
  u32 id = w.event_id("syscalls", "sys_enter_read");
  auto one = *tracepoint(w.probes, id), two = *tracepoint(w.probes, id);
  CHECK(one == two);
  CHECK(tracepoint(w.probes, 0).error() == Errno{EINVAL});
  CHECK(tracepoint(w.probes, 0xfffffff).error() == Errno{EINVAL});
  CHECK(w.unmodelled.counts().empty());
}

TEST_CASE("probes defined in kprobe_events are events with ids of their own") {
  World w;
  REQUIRE(w.dynamic_events.write(DynamicEvents::Sort::kKprobe, "p:mine/opens do_sys_openat2", nullptr));
  auto event = w.dynamic_events.find("mine", "opens");
  REQUIRE(event);
  auto point = tracepoint(w.probes, event->id);
  REQUIRE(point);
  CHECK(event->users == 1);
  CHECK((*point)->where().probe == Point::Probe::kKernel);
  CHECK(w.dynamic_events.write(DynamicEvents::Sort::kKprobe, "-:mine/opens", nullptr).error() == Errno{EBUSY});
  point->reset();
  CHECK(event->users == 0);
  CHECK(w.dynamic_events.write(DynamicEvents::Sort::kKprobe, "-:mine/opens", nullptr));
  CHECK(tracepoint(w.probes, event->id).error() == Errno{EINVAL});
}

}  // namespace
}  // namespace bpfemu
