// SPDX-License-Identifier: Apache-2.0
// Filters of trace events. The verdicts are what PERF_EVENT_IOC_SET_FILTER answered on Debian's 6.1.
#include "emu/kernel/event_filter.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/kernel/kernel_data.h"

namespace bpfemu {
namespace {

const Events& events() {
  static const Profile kProfile = default_profile();
  static const KernelData kKernel(kProfile);
  return kKernel.events();
}

int verdict(const char* system, const char* name, std::string_view text) {
  auto filter = EventFilter::parse(text, events().find(system, name)->format);
  return filter ? 0 : -filter.error().value;
}

TEST_CASE("what is a filter, and what is wrong with others") {
  const std::pair<std::string_view, int> getpgid[] = {
      {"pid == 3", 0}, {"pid==3", 0}, {"nofield == 3", -22}, {"", -22}, {"pid", -22}, {"pid ==", -22}, {"pid == x", -22},
      {"pid == 0x10", 0}, {"pid == 010", 0}, {"pid == 08", -22}, {"pid == -1", -22}, {"pid ~ 3", -22}, {"pid ~ \"3\"", -22},
      {"pid == \"3\"", -22}, {"pid & 1", 0}, {"pid & -1", -22}, {"pid < 5 && pid > 2", 0}, {"(pid < 5 && pid > 2)", 0},
      {"(pid < 5", -2}, {"pid < 5)", -1}, {"!(pid == 3)", 0}, {"!pid == 3", 0}, {"!!(pid == 3)", 0}, {"pid == 3 ||", -22},
      {"|| pid == 3", -1}, {"pid == 3 && || pid == 4", -1}, {"common_pid == 1", 0}, {"comm == \"x\"", 0},
      {"COMM ~ \"x*\"", 0}, {"CPU == 0", 0}, {"cpu < 2", 0}, {"comm == x", -22}, {"comm < \"x\"", -22}, {"pid = 3", -22},
      {"pid === 3", -22}, {"pid == 3 pid == 4", -1}, {"pid == 99999999999999999999", -22}, {"common_type == 1", 0},
      {"__syscall_nr == 1", 0}, {"pid == 3u", -22}, {"pid==3&&pid==4", 0}, {"pid & 1 == 1", -1}, {"CPU == -1", 0},
      {"cpu == 0x", -22}, {"common_preempt_count == -1", -22}, {"common_type == -1", -22}, {"none", -22}};
  for (auto [text, expected] : getpgid) {
    INFO(text);
    CHECK(verdict("syscalls", "sys_enter_getpgid", text) == expected);
  }
  const std::pair<std::string_view, int> openat[] = {
      {"filename == \"x\"", 0}, {"filename ~ \"*x\"", 0}, {"filename == 3", -22}, {"flags & 1", 0},
      {"filename != \"x\"", 0}, {"filename.ustring == \"x\"", 0}, {"filename > \"a\"", -22}, {"filename == 'x'", 0},
      {"filename == \"x", -3}, {"filename == \"\"", 0}};
  for (auto [text, expected] : openat) {
    INFO(text);
    CHECK(verdict("syscalls", "sys_enter_openat", text) == expected);
  }
  CHECK(verdict("sched", "sched_process_exec", "filename ~ \"*\" && old_pid < 4") == 0);
  CHECK(verdict("sched", "sched_process_fork", "parent_comm ~ \"[a-c]*\" || child_pid == 3") == 0);
  CHECK(verdict("raw_syscalls", "sys_enter", "args[0] == 1") == -22);
  CHECK(verdict("raw_syscalls", "sys_enter", "args == 1") == 0);
}

TEST_CASE("brackets may not nest without end") {
  std::string deep(100000, '(');
  CHECK(verdict("syscalls", "sys_enter_getpgid", deep + "pid == 3" + std::string(deep.size(), ')')) == -22);
  CHECK(verdict("syscalls", "sys_enter_getpgid", std::string(100000, '!') + "pid == 3") == -22);
}

// How many of getpgid(-1) to getpgid(7) pass, as counted on 6.1 by a process named "filt".
int passing(std::string_view text) {
  const TraceEvent& event = *events().find("syscalls", "sys_enter_getpgid");
  auto filter = EventFilter::parse(text, event.format);
  REQUIRE(filter);
  int count = 0;
  for (s64 pid = -1; pid < 8; ++pid) {
    u8 record[24] = {};
    store(record + 16, pid);
    count += filter->matches({.record = record, .cpu = 0, .comm = "filt"});
  }
  return count;
}

TEST_CASE("records pass or do not") {
  CHECK(passing("pid == 3") == 1);
  CHECK(passing("pid != 3") == 8);
  CHECK(passing("pid > 2 && pid < 5") == 2);
  CHECK(passing("pid & 1") == 5);
  CHECK(passing("!(pid == 3) || pid == 3") == 9);
  CHECK(passing("comm == \"filt\"") == 9);
  CHECK(passing("comm ~ \"fi?t\"") == 9);
  CHECK(passing("comm == \"no\"") == 0);
  CHECK(passing("pid < 0") == 0);
  CHECK(passing("pid == 1 || pid == 2 && pid == 3") == 1);
}

TEST_CASE("strings of a record, fixed and placed") {
  const TraceEvent& fork = *events().find("sched", "sched_process_fork");
  u8 record[64] = {};
  for (const EventField& field : fields_of(fork.format)) {
    if (field.name == "parent_comm") std::memcpy(record + field.offset, "bash", 4);
  }
  auto passes = [&](const TraceEvent& event, std::string_view text) {
    return EventFilter::parse(text, event.format)->matches({.record = record, .comm = {}});
  };
  CHECK(passes(fork, "parent_comm == \"bash\""));
  CHECK(passes(fork, "parent_comm ~ \"[a-c]a*\""));
  CHECK_FALSE(passes(fork, "parent_comm ~ \"[!a-c]*\""));
  CHECK_FALSE(passes(fork, "parent_comm != \"bash\""));

  const TraceEvent& exec = *events().find("sched", "sched_process_exec");
  store<u32>(record + 8, 10 << 16 | 20);  // the data location of `filename`
  std::memcpy(record + 20, "/bin/true", 10);
  CHECK(passes(exec, "filename == \"/bin/true\""));
  CHECK(passes(exec, "filename ~ \"*true\""));
  store<u32>(record + 8, 0xffffffff);
  CHECK_FALSE(passes(exec, "filename == \"/bin/true\""));
}

}  // namespace
}  // namespace bpfemu
