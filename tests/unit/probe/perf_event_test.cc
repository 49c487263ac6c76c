// SPDX-License-Identifier: Apache-2.0
// Perf events: programs on them, uprobes, clocks, links.
#include <sys/stat.h>

#include "emu/probe/attach.h"
#include "emu/probe/tracepoints.h"
#include "tests/unit/probe/world.h"

namespace bpfemu {
namespace {

using Sort = PerfEvent::Sort;

perf_event_attr attr_of(u32 type, u64 config, u64 period = 0) {
  perf_event_attr attr{};
  attr.type = type;
  attr.config = config;
  attr.sample_period = period;
  return attr;
}

std::shared_ptr<PerfEvent> tracepoint_event(World& w, const char* system, const char* name) {
  auto attr = attr_of(PERF_TYPE_TRACEPOINT, w.event_id(system, name));
  auto event = PerfEvent::create(
      w.probes,
      {.sort = Sort::kTracepoint, .attr = attr, .pid = -1, .cpu = 0, .point = *tracepoint(w.probes, attr.config)});
  REQUIRE(event);
  return *event;
}

std::shared_ptr<Program> nothing(u32 type) {
  return make_program(type, [](Run*, void*) { return u64{0}; });
}

TEST_CASE("which programs an event takes") {
  World w;
  auto event = tracepoint_event(w, "syscalls", "sys_enter_read");
  CHECK(set_perf_event_program(*event, nothing(BPF_PROG_TYPE_KPROBE), 0).error() == Errno{EINVAL});
  auto greedy = nothing(BPF_PROG_TYPE_TRACEPOINT);
  greedy->verified.max_ctx_offset = 48;  // read has three arguments: the record ends at 40
  CHECK(set_perf_event_program(*event, greedy, 0).error() == Errno{EACCES});
  CHECK(set_perf_event_program(*event, nothing(BPF_PROG_TYPE_TRACEPOINT), 0));
  CHECK(set_perf_event_program(*event, nothing(BPF_PROG_TYPE_TRACEPOINT), 0).error() == Errno{EEXIST});
  CHECK(w.host.entry[0]);
  event.reset();
  CHECK_FALSE(w.host.entry[0]);
}

TEST_CASE("a link keeps its event and detaches when it goes") {
  World w;
  auto event = tracepoint_event(w, "syscalls", "sys_enter_read");
  std::weak_ptr<PerfEvent> watch = event;
  auto link = attach_perf_event(event, nothing(BPF_PROG_TYPE_TRACEPOINT), 5);
  REQUIRE(link);
  CHECK((*link)->type() == BPF_LINK_TYPE_PERF_EVENT);
  CHECK((*link)->detach().error() == Errno{EOPNOTSUPP});
  event.reset();
  CHECK(w.host.entry[0]);
  CHECK_FALSE(watch.expired());
  link->reset();
  CHECK_FALSE(w.host.entry[0]);
  CHECK(watch.expired());
}

TEST_CASE("two events on one tracepoint run their programs in attach order") {
  World w;
  std::string order;
  auto note = [&](char c) {
    return make_program(BPF_PROG_TYPE_TRACEPOINT, [&order, c](Run*, void*) { return order += c, u64{0}; });
  };
  auto one = tracepoint_event(w, "syscalls", "sys_enter_read"), two = tracepoint_event(w, "syscalls", "sys_enter_read");
  REQUIRE(set_perf_event_program(*two, note('a'), 0));
  REQUIRE(set_perf_event_program(*one, note('b'), 0));
  PtRegs regs{};
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(order == "ab");
  two.reset();
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(order == "abb");
}

// Measured on 6.1.192: -17 whatever the cookie, by ioctl and by link; each kprobe event is a probe of its own.
TEST_CASE("a tracepoint takes each program once") {
  World w;
  auto program = nothing(BPF_PROG_TYPE_TRACEPOINT);
  auto one = tracepoint_event(w, "syscalls", "sys_enter_read"), two = tracepoint_event(w, "syscalls", "sys_enter_read");
  REQUIRE(set_perf_event_program(*one, program, 1));
  CHECK(set_perf_event_program(*two, program, 1).error() == Errno{EEXIST});
  CHECK(attach_perf_event(two, program, 2).error() == Errno{EEXIST});
  CHECK(set_perf_event_program(*tracepoint_event(w, "syscalls", "sys_exit_read"), program, 1));
  CHECK(set_perf_event_program(*two, nothing(BPF_PROG_TYPE_TRACEPOINT), 1));
  two = tracepoint_event(w, "syscalls", "sys_enter_read");
  one.reset();
  CHECK(set_perf_event_program(*two, program, 2));
}

TEST_CASE("task_fd_query") {
  World w;
  auto event = tracepoint_event(w, "syscalls", "sys_enter_read");
  CHECK(query_perf_event(*event).error() == Errno{ENOENT});
  REQUIRE(set_perf_event_program(*event, nothing(BPF_PROG_TYPE_TRACEPOINT), 0));
  auto query = query_perf_event(*event);
  REQUIRE(query);
  CHECK(query->fd_type == BPF_FD_TYPE_TRACEPOINT);
  CHECK(query->name == "sys_enter_read");

  auto attr = attr_of(kKprobePmu, 0);
  auto probe = *PerfEvent::create(w.probes, {.sort = Sort::kKprobe,
                                             .attr = attr,
                                             .pid = -1,
                                             .cpu = 0,
                                             .point = *kprobe(w.probes, "do_sys_openat2", 0, 0, true)});
  CHECK(set_perf_event_program(*probe, nothing(BPF_PROG_TYPE_TRACEPOINT), 0).error() == Errno{EINVAL});
  REQUIRE(set_perf_event_program(*probe, nothing(BPF_PROG_TYPE_KPROBE), 0));
  query = query_perf_event(*probe);
  REQUIRE(query);
  CHECK(query->fd_type == BPF_FD_TYPE_KRETPROBE);
  CHECK(query->name == "do_sys_openat2");
}

TEST_CASE("uprobes have a site, fire in their address spaces, and catch returns") {
  World w;
  auto file = *UserFile::open(w.task, "/proc/self/exe");
  CHECK(uprobe(w.probes, {.path = "self", .file = file, .offset = u64{1} << 40}).error() == Errno{EINVAL});
  CHECK(uprobe(w.probes, {.path = "self", .file = file, .offset = 0, .ref_ctr_offset = 3}).error() == Errno{EINVAL});
  UserFunction function{.path = "self", .file = file, .offset = 0x1000};
  auto entry = std::shared_ptr<Point>(*uprobe(w.probes, function));
  function.on_return = true;
  auto exit = std::shared_ptr<Point>(*uprobe(w.probes, function));
  REQUIRE(w.sites.sites.size() == 1);
  CHECK(w.sites.sites.begin()->second.uses == 2);
  CHECK(w.sites.sites.begin()->second.place.code.size() == kSiteCode);
  Sites::Id site = w.sites.sites.begin()->first;
  function.ref_ctr_offset = 2;
  CHECK(uprobe(w.probes, function).error() == Errno{EINVAL});  // another counter than the place has

  u64 entered = 0, returned = 0;
  auto noting = [&](u64& into, u64 PtRegs::*field) {
    return make_program(BPF_PROG_TYPE_KPROBE, [&into, field](Run*, void* context) {
      into = static_cast<PtRegs*>(context)->*field;
      return u64{0};
    });
  };
  auto listen = [&](std::shared_ptr<Point> point, pid_t pid) {
    return PerfEvent::create(w.probes, {.sort = PerfEvent::Sort::kUprobe,
                                        .attr = attr_of(kUprobePmu, 0),
                                        .pid = pid,
                                        .cpu = 0,
                                        .point = std::move(point)});
  };
  REQUIRE(entry->attach({noting(entered, &PtRegs::rdi), 0}));
  PtRegs regs{};
  regs.rdi = 11;
  CHECK_FALSE(w.probes.site_hit(w.task, site, regs));  // nobody has opened it
  CHECK(entered == 0);
  w.host.tasks[w.task.tid()] = &w.task;
  auto to_us = *listen(entry, w.task.tid());
  CHECK(w.sites.sites[site].applied == 1);
  CHECK(w.probes.site_wanted(site, w.task.tid()));
  CHECK(w.probes.site_hit(w.task, site, regs));
  CHECK(entered == 11);
  CHECK(w.sites.returns.empty());  // nobody waits for the return yet

  // A child of another address space is not concerned, and none after the task's end.
  fakes::FakeTask child(4242);
  w.host.tasks[4242] = &child;
  w.probes.task_forked(w.task, 4242, false);
  CHECK_FALSE(w.probes.site_wanted(site, 4242));
  auto to_child = *listen(entry, 4242);
  CHECK(w.probes.site_wanted(site, 4242));
  w.probes.task_gone(4242);
  CHECK_FALSE(w.probes.site_wanted(site, 4242));

  REQUIRE(exit->attach({noting(returned, &PtRegs::rax), 0}));
  auto to_all = *listen(exit, -1);
  CHECK(w.probes.site_wanted(site, 4242));
  w.probes.site_hit(w.task, site, regs);
  REQUIRE(w.sites.returns.size() == 1);
  regs.rax = 22;
  w.probes.function_returned(w.task, w.sites.returns[0], regs);
  CHECK(returned == 22);
  to_all.reset();
  CHECK(w.sites.sites[site].withdrawn == 1);

  w.probes.site_lost(site, "a reason");
  CHECK(w.unmodelled.counts().contains("uprobe self:0x1000 in a process: a reason"));
  w.sites.refuse = EIO;
  CHECK(listen(exit, -1).error() == Errno{EIO});
  CHECK_FALSE(w.probes.site_wanted(site, 4242));
  to_us.reset(), to_child.reset(), entry.reset(), exit.reset();
  CHECK(w.sites.sites.empty());
  CHECK_FALSE(w.probes.site_hit(w.task, site, regs));
  w.probes.function_returned(w.task, site, regs);
}

TEST_CASE("clocks run their program every period while enabled") {
  World w;
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, 1'000'000);
  auto event =
      *PerfEvent::create(w.probes, {.sort = Sort::kClock, .attr = attr, .pid = -1, .cpu = 1, .point = nullptr});
  int ran = 0;
  CHECK(set_perf_event_program(*event, nothing(BPF_PROG_TYPE_KPROBE), 0).error() == Errno{EINVAL});
  REQUIRE(set_perf_event_program(
      *event,
      make_program(BPF_PROG_TYPE_PERF_EVENT,
                   [&](Run* run, void* context) {
                     CHECK(run->cpu->id == 1);
                     CHECK(std::string(run->task->comm) == "swapper/1");
                     CHECK(run->task->tid == 0);
                     u64 period;
                     memcpy(&period, static_cast<u8*>(context) + sizeof(PtRegs), 8);
                     CHECK(period == 1'000'000);
                     char byte;
                     CHECK(run->env->read_user(run->env->self, &byte, reinterpret_cast<u64>(&period), 1) == -EFAULT);
                     return u64(++ran);
                   }),
      0));
  CHECK(set_perf_event_program(*event, nothing(BPF_PROG_TYPE_PERF_EVENT), 0).error() == Errno{EEXIST});
  w.host.advance(3'500'000);
  CHECK(ran == 3);
  event->disable();
  w.host.advance(5'000'000);
  CHECK(ran == 3);
  event->enable();
  event->enable();
  w.host.advance(1'100'000);
  CHECK(ran == 4);
  CHECK(event->set_period(0).error() == Errno{EINVAL});
  CHECK(query_perf_event(*event).error() == Errno{EOPNOTSUPP});
  event.reset();
  w.host.advance(5'000'000);
  CHECK(ran == 4);
}

TEST_CASE("a clock's program runs for who is on its CPU") {
  World w;
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, 1'000'000);
  auto event = *PerfEvent::create(w.probes, {.sort = Sort::kClock, .attr = attr, .pid = -1, .cpu = 1});
  std::vector<u32> seen;
  u64 ip = 0;
  REQUIRE(set_perf_event_program(*event,
                                 make_program(BPF_PROG_TYPE_PERF_EVENT,
                                              [&](Run* run, void* context) {
                                                seen.push_back(run->task->tid);
                                                ip = static_cast<PtRegs*>(context)->rip;
                                                CHECK(run->cpu->id == 1);
                                                return u64{1};
                                              }),
                                 0));
  u32 tid = static_cast<u32>(w.task.tid());
  w.task.regs().rip = 0x1234;
  w.host.on_cpu[w.task.tid()] = 0;
  w.host.advance(1'000'000);
  CHECK(seen == std::vector<u32>{0});
  w.host.on_cpu[w.task.tid()] = 1;
  w.host.advance(2'000'000);
  CHECK(seen == std::vector<u32>{0, tid, tid});
  CHECK(ip == 0x1234);
  event.reset();

  // An event of one task has no idle CPU.
  auto own = *PerfEvent::create(w.probes, {.sort = Sort::kClock, .attr = attr, .pid = w.task.tid(), .cpu = -1});
  seen.clear();
  REQUIRE(set_perf_event_program(*own, make_program(BPF_PROG_TYPE_PERF_EVENT,
                                                    [&](Run* run, void*) {
                                                      seen.push_back(run->task->tid);
                                                      return u64{1};
                                                    }),
                                 0));
  w.host.advance(1'000'000);
  w.host.on_cpu.clear();
  w.host.advance(5'000'000);
  CHECK(seen == std::vector<u32>{tid});
}

TEST_CASE("a sample goes to the program, and what that lets through to the buffer") {
  World w;
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, 1'000'000);
  attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_PERIOD;
  auto event = *PerfEvent::create(w.probes, {.sort = Sort::kClock, .attr = attr, .pid = w.task.tid(), .cpu = -1});
  event->set_buffer(*PerfBuffer::create(w.arena, 1, 0, true));
  PerfRing& ring = event->buffer()->ring();
  w.host.on_cpu[w.task.tid()] = 0;
  w.task.regs().rip = 0x1234;
  w.host.advance(1'000'000);
  REQUIRE(ring.page()->data_head == 32);
  u64 record[4];
  memcpy(record, ring.data(), sizeof record);
  CHECK(record[0] == (PERF_RECORD_SAMPLE | u64{PERF_RECORD_MISC_USER} << 32 | u64{32} << 48));
  CHECK(record[1] == 0x1234);
  CHECK(record[2] == (static_cast<u32>(w.task.tgid()) | u64{static_cast<u32>(w.task.tid())} << 32));
  CHECK(record[3] == 1'000'000);
  u64 verdict = 0;
  REQUIRE(set_perf_event_program(
      *event, make_program(BPF_PROG_TYPE_PERF_EVENT, [&](Run*, void*) { return verdict; }), 0));
  w.host.advance(1'000'000);
  CHECK(ring.page()->data_head == 32);
  verdict = 1;
  w.host.advance(1'000'000);
  CHECK(ring.page()->data_head == 64);
}

TEST_CASE("frequencies are periods") {
  World w;
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK);
  attr.freq = 1;
  attr.sample_freq = 100;
  attr.disabled = 1;
  auto event =
      *PerfEvent::create(w.probes, {.sort = Sort::kClock, .attr = attr, .pid = -1, .cpu = 0, .point = nullptr});
  int ran = 0;
  REQUIRE(set_perf_event_program(*event,
                                 make_program(BPF_PROG_TYPE_PERF_EVENT, [&](Run*, void*) { return u64(++ran); }), 0));
  w.host.advance(100'000'000);
  CHECK(ran == 0);
  event->limit = 5;
  event->enable();
  w.host.advance(100'000'000);
  CHECK(ran == 5);
}

TEST_CASE("events share a buffer") {
  World w;
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT, 1);
  attr.sample_type = PERF_SAMPLE_RAW;
  attr.wakeup_events = 1;
  auto make = [&] {
    return *PerfEvent::create(w.probes, {.sort = Sort::kOutput, .attr = attr, .pid = -1, .cpu = 0, .point = nullptr});
  };
  auto one = make(), two = make();
  CHECK(one->event_id() != two->event_id());
  CHECK(one->state().active);
  one->set_buffer(*PerfBuffer::create(w.arena, 2, 0, true));
  two->set_buffer(one->buffer());
  CHECK(two->state().ring == one->state().ring);
  PerfRing* ring = one->state().ring;
  one.reset();
  RunScope scope(w.probes.runner(), nullptr, nullptr, {}, 0);
  const char text[] = "payload";
  CHECK(perf_event_sample(&scope.run(), two->state(), {.raw = text, .raw_size = sizeof text}) == 0);
  CHECK(w.woken == std::vector<const void*>{ring});
  CHECK(perf_ring_has_data(*ring));
}

}  // namespace
}  // namespace bpfemu
