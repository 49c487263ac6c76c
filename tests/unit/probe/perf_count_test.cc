// SPDX-License-Identifier: Apache-2.0
// Perf events that count: at points and in software, alone, in groups and with children.
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

TEST_CASE("an event at a point counts while it is enabled, for its task, and if no program objects") {
  World w;
  auto attr = attr_of(PERF_TYPE_TRACEPOINT, w.event_id("syscalls", "sys_enter_read"));
  attr.disabled = 1;
  auto point = *tracepoint(w.probes, attr.config);
  auto make = [&](pid_t pid) {
    return *PerfEvent::create(w.probes, {.sort = Sort::kTracepoint, .attr = attr, .pid = pid, .cpu = -1, .point = point});
  };
  auto mine = make(w.task.tid()), other = make(w.task.tid() + 1);
  PtRegs regs{};
  auto hit = [&] {
    w.probes.syscall_entered(w.task, regs, 0);
    mine->update();
    return mine->state().count;
  };
  CHECK_FALSE(w.host.entry[0]);
  CHECK(hit() == 0);
  mine->enable();
  other->enable();
  CHECK(w.host.entry[0]);
  CHECK(hit() == 1);
  CHECK(hit() == 2);
  CHECK(other->state().count == 0);
  u64 verdict = 0;
  REQUIRE(set_perf_event_program(
      *other, make_program(BPF_PROG_TYPE_TRACEPOINT, [&](Run*, void*) { return verdict; }), 0));
  CHECK(hit() == 2);
  verdict = 1;
  CHECK(hit() == 3);
  mine->reset();
  CHECK(hit() == 1);
  mine->disable();
  CHECK(hit() == 1);
}

TEST_CASE("a filter says what counts") {
  World w;
  auto attr = attr_of(PERF_TYPE_TRACEPOINT, w.event_id("syscalls", "sys_enter_getpgid"));
  auto point = *tracepoint(w.probes, attr.config);
  auto event = *PerfEvent::create(w.probes, {.sort = Sort::kTracepoint, .attr = attr, .pid = -1, .cpu = -1, .point = point});
  const std::string_view format = w.kernel.events().find("syscalls", "sys_enter_getpgid")->format;
  CHECK(event->set_filter("nofield == 3", format).error().value == EINVAL);
  CHECK(event->set_filter("pid == 3 && common_pid == " + std::to_string(w.task.tid()), format));
  CHECK(event->set_filter("pid == 4", format).error().value == EEXIST);
  int runs = 0;
  REQUIRE(set_perf_event_program(*event, make_program(BPF_PROG_TYPE_TRACEPOINT, [&](Run*, void*) { return ++runs, 1; }), 0));
  PtRegs regs{};
  for (regs.rdi = 0; regs.rdi < 5; ++regs.rdi) w.probes.syscall_entered(w.task, regs, 121);
  event->update();
  CHECK(event->state().count == 1);
  CHECK(runs == 5);
}

TEST_CASE("a sibling counts while its leader is enabled") {
  World w;
  auto attr = attr_of(PERF_TYPE_TRACEPOINT, w.event_id("syscalls", "sys_enter_read"));
  auto point = *tracepoint(w.probes, attr.config);
  attr.disabled = 1;
  auto leader = *PerfEvent::create(
      w.probes, {.sort = Sort::kTracepoint, .attr = attr, .pid = w.task.tid(), .cpu = -1, .point = point});
  attr.disabled = 0;
  auto sibling = *PerfEvent::create(w.probes, {.sort = Sort::kTracepoint,
                                               .attr = attr,
                                               .pid = w.task.tid(),
                                               .cpu = -1,
                                               .point = point,
                                               .leader = leader});
  PtRegs regs{};
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(sibling->state().count == 0);
  leader->enable();
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(sibling->state().count == 1);
  leader->disable();
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(sibling->state().count == 1);
  CHECK(leader->siblings() == std::vector<PerfEvent*>{sibling.get()});
  leader.reset();  // what is left is a group of its own
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(sibling->state().count == 2);
}

TEST_CASE("samples read the whole group") {
  World w;
  auto attr = attr_of(PERF_TYPE_TRACEPOINT, w.event_id("syscalls", "sys_enter_read"), 1);
  auto point = *tracepoint(w.probes, attr.config);
  attr.sample_type = PERF_SAMPLE_READ;
  attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID;
  PerfEvent::Spec spec{.sort = Sort::kTracepoint, .attr = attr, .pid = w.task.tid(), .cpu = -1, .point = point};
  auto leader = *PerfEvent::create(w.probes, spec);
  spec.leader = leader;
  spec.attr.sample_period = 0;
  auto first = *PerfEvent::create(w.probes, spec), second = *PerfEvent::create(w.probes, spec);
  leader->set_buffer(*PerfBuffer::create(w.arena, 1, 0, true));
  second->state().count = 40;
  PtRegs regs{};
  w.probes.syscall_entered(w.task, regs, 0);
  PerfRing& ring = leader->buffer()->ring();
  REQUIRE(ring.page()->data_head == 8 + 8 + 3 * 16);
  u64 record[8];
  memcpy(record, ring.data(), sizeof record);
  CHECK(record[1] == 3);
  CHECK(record[2] == 1);
  CHECK(record[3] == leader->event_id());
  CHECK(record[4] == 1);  // the newest of them counts first
  CHECK(record[6] == 41);
  CHECK(record[7] == second->event_id());
  first.reset();
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(ring.page()->data_head == 64 + 8 + 8 + 2 * 16);
}

TEST_CASE("counters follow a task, and with inherit its children") {
  World w;
  fakes::FakeTask child(w.task.tid() + 1, w.task.tid() + 1);
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS);
  auto make = [&](bool inherit) {
    attr.inherit = inherit;
    return *PerfEvent::create(w.probes, {.sort = Sort::kCounter, .attr = attr, .pid = w.task.tid(), .cpu = -1});
  };
  w.host.tasks[w.task.tid()] = &w.task;
  w.host.used[w.task.tid()] = {.run_ns = 1000, .minor_faults = 50};
  auto alone = make(false), family = make(true);
  auto count = [](PerfEvent& event) {
    event.update();
    return event.state().count;
  };
  CHECK(count(*alone) == 0);
  w.host.used[w.task.tid()] = {.run_ns = 1600, .minor_faults = 57, .major_faults = 1};
  CHECK(count(*alone) == 8);
  CHECK(alone->state().time == 600);
  w.host.tasks[child.tid()] = &child;
  w.probes.task_forked(w.task, child.tid(), false);
  w.host.used[child.tid()] = {.minor_faults = 30};
  CHECK(count(*alone) == 8);
  CHECK(count(*family) == 38);
  w.host.used[child.tid()] = {.minor_faults = 33};
  w.probes.task_exiting(child, 0);
  w.host.tasks.erase(child.tid());
  CHECK(count(*family) == 41);
  family->reset();
  CHECK(count(*family) == 0);
  CHECK_FALSE(family->gone());
  w.probes.task_exiting(w.task, 0);
  CHECK(family->gone());
  CHECK(count(*alone) == 8);
  w.host.tasks.erase(w.task.tid());
}

TEST_CASE("exec enables what waits for it") {
  World w;
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY);
  attr.disabled = attr.enable_on_exec = 1;
  auto event = *PerfEvent::create(w.probes, {.sort = Sort::kCounter, .attr = attr, .pid = w.task.tid(), .cpu = -1});
  fakes::FakeTask other(w.task.tid() + 1, w.task.tid() + 1);
  w.probes.task_executed(other, other.tid(), "/bin/true");
  CHECK_FALSE(event->state().active);
  w.probes.task_executed(w.task, w.task.tid(), "/bin/true");
  CHECK(event->state().active);
}

TEST_CASE("a counter that is sampled runs its program once a period") {
  World w;
  w.host.tasks[w.task.tid()] = &w.task;
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 10);
  auto event = *PerfEvent::create(w.probes, {.sort = Sort::kCounter, .attr = attr, .pid = -1, .cpu = 0});
  int ran = 0;
  REQUIRE(set_perf_event_program(*event,
                                 make_program(BPF_PROG_TYPE_PERF_EVENT,
                                              [&](Run* run, void*) {
                                                CHECK(run->task->tid == static_cast<u32>(w.task.tid()));
                                                return u64(++ran);
                                              }),
                                 0));
  w.host.used[w.task.tid()].minor_faults = 34;
  w.host.advance(100'000'000);
  CHECK(ran == 3);
  w.host.used[w.task.tid()].minor_faults = 40;
  w.host.advance(100'000'000);
  CHECK(ran == 4);
  w.host.used[w.task.tid()] = {.minor_faults = 90, .cpu = 1};  // it has moved to another CPU
  w.host.advance(100'000'000);
  CHECK(ran == 4);
  event.reset();
  w.host.tasks.erase(w.task.tid());
}

std::shared_ptr<PerfEvent> page_faults(World& w, std::shared_ptr<PerfEvent> leader = {}) {
  auto attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 10);
  PerfEvent::Spec spec{.sort = Sort::kCounter, .attr = attr, .pid = w.task.tid(), .cpu = -1};
  spec.leader = std::move(leader);
  return *PerfEvent::create(w.probes, std::move(spec));
}

// A counter whose program stands aside while others close all that there is.
struct Closing {
  explicit Closing(World& world, const std::shared_ptr<PerfEvent>& leader = {}) : w(world), counter(page_faults(w, leader)) {
    auto program = make_program(BPF_PROG_TYPE_PERF_EVENT, [this](Run*, void*) {
      events.clear();
      counter.reset();
      return u64(++runs);
    });
    REQUIRE(set_perf_event_program(*counter, std::move(program), 0));
  }
  void use() { w.host.used[w.task.tid()].minor_faults += 10; }

  World& w;
  std::shared_ptr<PerfEvent> counter;
  std::vector<std::shared_ptr<PerfEvent>> events;  // the others
  int runs = 0;
};

TEST_CASE("all events of a point may be closed while one of them counts its group") {
  World w;
  Closing closing(w);
  auto attr = attr_of(PERF_TYPE_TRACEPOINT, w.event_id("syscalls", "sys_enter_read"), 1);
  attr.sample_type = PERF_SAMPLE_READ;
  attr.read_format = PERF_FORMAT_GROUP;
  PerfEvent::Spec spec{.sort = Sort::kTracepoint, .attr = attr, .pid = w.task.tid(), .cpu = -1};
  spec.point = *tracepoint(w.probes, attr.config);
  closing.events.push_back(*PerfEvent::create(w.probes, spec));
  spec.leader = closing.counter;
  closing.events.push_back(*PerfEvent::create(w.probes, spec));
  spec = {};
  closing.use();
  PtRegs regs{};
  w.probes.syscall_entered(w.task, regs, 0);
  CHECK(closing.runs == 1);
  CHECK(w.probes.perf_events.empty());
}

TEST_CASE("all events may be closed while a thread ends") {
  World w;
  Closing closing(w);
  for (int i = 0; i < 3; ++i) closing.events.push_back(page_faults(w));
  closing.use();
  w.probes.task_exiting(w.task, 0);
  CHECK(closing.runs == 1);
  CHECK(w.probes.perf_events.empty());
}

TEST_CASE("the siblings may be closed while the group is disabled or read") {
  for (bool disable : {true, false}) {
    CAPTURE(disable);
    World w;
    auto leader = page_faults(w);
    Closing closing(w, leader);
    for (int i = 0; i < 3; ++i) closing.events.push_back(page_faults(w, leader));
    closing.use();
    disable ? leader->disable() : leader->update_group();
    CHECK(closing.runs == 1);
    CHECK(leader->siblings().empty());
  }
}

}  // namespace
}  // namespace bpfemu
