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

// As the `filter` files of tracefs showed them on Debian's 6.1.
struct Shown {
  const char *system, *name;
  std::string_view filter;
  const char* file;  // what the `filter` file showed; null: the filter itself
};
constexpr Shown kShown[] = {
    {"sched", "sched_process_exit", "pid == 3",
     nullptr},
    {"sched", "sched_process_exit", "pid = 3",
     "pid = 3\n     ^\nparse_error: Invalid operator\n"},
    {"sched", "sched_process_exit", "nosuch == 3",
     "nosuch == 3\n       ^\nparse_error: Field not found\n"},
    {"sched", "sched_process_exit", "pid ==",
     "pid ==\n      ^\nparse_error: Invalid value (did you forget quotes)?\n"},
    {"sched", "sched_process_exit", "pid",
     "pid\n   ^\nparse_error: Invalid operator\n"},
    {"sched", "sched_process_exit", "pid == 3 &&",
     "pid == 3 &&\n           ^\nparse_error: Meaningless filter expression\n"},
    {"sched", "sched_process_exit", "&& pid == 3",
     "&& pid == 3\nError: (0)\n"},
    {"sched", "sched_process_exit", "pid == 3 || || prio == 1",
     "pid == 3 || || prio == 1\nError: (0)\n"},
    {"sched", "sched_process_exit", "(pid == 3",
     "(pid == 3\n^\nparse_error: Too many '('\n"},
    {"sched", "sched_process_exit", "pid == 3)",
     "pid == 3)\n        ^\nparse_error: Too few '('\n"},
    {"sched", "sched_process_exit", "((pid == 3) && (prio > 1)",
     "((pid == 3) && (prio > 1)\n^\nparse_error: Too many '('\n"},
    {"sched", "sched_process_exit", "pid == 3 prio == 4",
     "pid == 3 prio == 4\n         ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "comm == \"x\"",
     nullptr},
    {"sched", "sched_process_exit", "comm == x",
     "comm == x\n         ^\nparse_error: Invalid value (did you forget quotes)?\n"},
    {"sched", "sched_process_exit", "comm == \"x",
     "comm == \"x\n        ^\nparse_error: Missing matching quote\n"},
    {"sched", "sched_process_exit", "comm == 'x'",
     nullptr},
    {"sched", "sched_process_exit", "comm ~ \"a*b\"",
     nullptr},
    {"sched", "sched_process_exit", "comm ~ \"*a*\"",
     nullptr},
    {"sched", "sched_process_exit", "comm < \"a\"",
     "comm < \"a\"\n        ^\nparse_error: Illegal operation for field type\n"},
    {"sched", "sched_process_exit", "comm & \"a\"",
     "comm & \"a\"\n        ^\nparse_error: Illegal operation for field type\n"},
    {"sched", "sched_process_exit", "pid ~ 3",
     "pid ~ 3\n       ^\nparse_error: Illegal operation for field type\n"},
    {"sched", "sched_process_exit", "pid == \"3\"",
     "pid == \"3\"\n        ^\nparse_error: Expecting numeric field\n"},
    {"sched", "sched_process_exit", "pid == 3x",
     "pid == 3x\n        ^\nparse_error: Illegal integer value\n"},
    {"sched", "sched_process_exit", "pid == 0x10",
     nullptr},
    {"sched", "sched_process_exit", "pid == -1",
     nullptr},
    {"sched", "sched_process_exit", "pid == 99999999999999999999999",
     "pid == 99999999999999999999999\n        ^\nparse_error: Illegal integer value\n"},
    {"sched", "sched_process_exit", "pid & 1",
     nullptr},
    {"sched", "sched_process_exit", "pid ! 1",
     "pid ! 1\n     ^\nparse_error: Invalid operator\n"},
    {"sched", "sched_process_exit", "!(pid == 1)",
     nullptr},
    {"sched", "sched_process_exit", "!pid == 1",
     nullptr},
    {"sched", "sched_process_exit", "! (pid == 1 || prio < 2) && comm != \"x\"",
     nullptr},
    {"sched", "sched_process_exit", "pid == 1 & prio == 1",
     "pid == 1 & prio == 1\n         ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "pid == 1 | prio == 1",
     "pid == 1 | prio == 1\n         ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "CPU == 0",
     nullptr},
    {"sched", "sched_process_exit", "cpu == 0",
     nullptr},
    {"sched", "sched_process_exit", "COMM == \"x\"",
     nullptr},
    {"sched", "sched_process_exit", "COMM ~ \"x*\"",
     nullptr},
    {"sched", "sched_process_exit", "common_pid == 1",
     nullptr},
    {"sched", "sched_process_exit", "common_type != 0",
     nullptr},
    {"sched", "sched_process_exit", "pid == 1;",
     "pid == 1;\n        ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "pid == 1 #x",
     "pid == 1 #x\n         ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "()",
     "()\nError: (0)\n"},
    {"sched", "sched_process_exit", "(pid == 1) (prio == 1)",
     "(pid == 1) (prio == 1)\n           ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "(pid == 1) && ()",
     "(pid == 1) && ()\nError: (0)\n"},
    {"sched", "sched_process_exit", "pid === 1",
     "pid === 1\n       ^\nparse_error: Invalid value (did you forget quotes)?\n"},
    {"sched", "sched_process_exit", "pid =! 1",
     "pid =! 1\n     ^\nparse_error: Invalid operator\n"},
    {"sched", "sched_process_exit", "pid <> 1",
     "pid <> 1\n      ^\nparse_error: Invalid value (did you forget quotes)?\n"},
    {"sched", "sched_process_exit", "pid <= 1 && prio >= 100",
     nullptr},
    {"sched", "sched_process_exit", "pid == prio",
     "pid == prio\n        ^\nparse_error: Invalid value (did you forget quotes)?\n"},
    {"sched", "sched_process_exit", "3 == pid",
     "3 == pid\n  ^\nparse_error: Field not found\n"},
    {"sched", "sched_process_exit", "\"x\" == comm",
     "\"x\" == comm\nError: (0)\n"},
    {"sched", "sched_process_exit", "pid == 1 &&",
     "pid == 1 &&\n           ^\nparse_error: Meaningless filter expression\n"},
    {"sched", "sched_process_exit", "pid == 1 ||",
     "pid == 1 ||\n           ^\nparse_error: Meaningless filter expression\n"},
    {"sched", "sched_process_exit", "!!(pid == 1)",
     nullptr},
    {"sched", "sched_process_exit", "!",
     "!\n ^\nparse_error: No filter found\n"},
    {"sched", "sched_process_exit", "1",
     "1\n ^\nparse_error: Field not found\n"},
    {"sched", "sched_process_exit", "none",
     "none\n    ^\nparse_error: Field not found\n"},
    {"sched", "sched_process_exit", "pid==1&&prio==2",
     nullptr},
    {"sched", "sched_process_exit", "pid==1||prio==2&&comm==\"x\"",
     nullptr},
    {"sched", "sched_process_exit", "comm == \"\"",
     nullptr},
    {"sched", "sched_process_exit", "comm.ustring == \"x\"",
     nullptr},
    {"sched", "sched_process_exit", "pid.ustring == \"x\"",
     "pid.ustring == \"x\"\n                ^\nparse_error: Expecting numeric field\n"},
    {"sched", "sched_process_exit", "comm.foo == \"x\"",
     "comm.foo == \"x\"\n     ^\nparse_error: Invalid operator\n"},
    {"sched", "sched_process_exec", "filename == \"/bin/cat\"",
     nullptr},
    {"sched", "sched_process_exec", "filename ~ \"*cat\"",
     nullptr},
    {"sched", "sched_process_exec", "filename.ustring == \"x\"",
     nullptr},
    {"sched", "sched_process_exec", "filename > \"x\"",
     "filename > \"x\"\n            ^\nparse_error: Illegal operation for field type\n"},
    {"syscalls", "sys_enter_openat", "filename == \"x\"",
     nullptr},
    {"syscalls", "sys_enter_openat", "filename.ustring == \"x\"",
     nullptr},
    {"syscalls", "sys_enter_openat", "filename.ustring ~ \"x*\"",
     nullptr},
    {"syscalls", "sys_enter_openat", "filename == 1",
     "filename == 1\n             ^\nparse_error: Expecting string field\n"},
    {"syscalls", "sys_enter_openat", "flags & 0x40",
     nullptr},
    {"syscalls", "sys_enter_openat", "dfd == -100",
     "dfd == -100\n        ^\nparse_error: Illegal integer value\n"},
    {"syscalls", "sys_enter_openat", "dfd == 0xffffff9c",
     nullptr},
    {"syscalls", "sys_enter_openat", "__syscall_nr == 257",
     nullptr},
    {"raw_syscalls", "sys_enter", "id == 257",
     nullptr},
    {"raw_syscalls", "sys_enter", "args == 1",
     nullptr},
    {"raw_syscalls", "sys_enter", "args[0] == 1",
     "args[0] == 1\n     ^\nparse_error: Invalid operator\n"},
    {"raw_syscalls", "sys_enter", "id == '1'",
     "id == '1'\n       ^\nparse_error: Expecting numeric field\n"},
    {"sched", "sched_switch", "prev_comm == \"a\" && (next_pid > 3 || !(prev_prio < 100)) || prev_state == 1",
     nullptr},
    {"sched", "sched_switch", "prev_pid == 1 && nosuch == 2 || next_pid == 3",
     "prev_pid == 1 && nosuch == 2 || next_pid == 3\n                        ^\nparse_error: Field not found\n"},
    {"sched", "sched_process_exit", "pid == 3 && comm",
     "pid == 3 && comm\n                ^\nparse_error: Invalid operator\n"},
    {"sched", "sched_process_exit", "pid == 3 && (comm == \"x\"",
     "pid == 3 && (comm == \"x\"\n            ^\nparse_error: Too many '('\n"},
    {"sched", "sched_process_exit", "comm == \"x\" y",
     "comm == \"x\" y\n            ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "comm == \"x\"y",
     "comm == \"x\"y\n           ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "pid == 1y && prio == 2",
     "pid == 1y && prio == 2\n        ^\nparse_error: Illegal integer value\n"},
    {"sched", "sched_process_exit", "(pid == 1))",
     "(pid == 1))\n          ^\nparse_error: Too few '('\n"},
    {"sched", "sched_process_exit", "pid == (1)",
     "pid == (1)\n        ^\nparse_error: Invalid value (did you forget quotes)?\n"},
    {"sched", "sched_process_exit", "pid (== 1)",
     "pid (== 1)\n     ^\nparse_error: Invalid operator\n"},
    {"sched", "sched_process_exit", "pid == 1 !",
     "pid == 1 !\n         ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "pid == 1 ! prio == 2",
     "pid == 1 ! prio == 2\n         ^\nparse_error: Too many terms in predicate expression\n"},
    {"sched", "sched_process_exit", "pid == 1 && ! prio == 2",
     nullptr},
    {"sched", "sched_process_exit", "pid == 1 )( prio",
     "pid == 1 )( prio\n         ^\nparse_error: Too few '('\n"},
};

TEST_CASE("what the filter file shows of a filter that is refused") {
  for (const Shown& each : kShown) {
    INFO(each.filter);
    FilterFault fault;
    auto filter = EventFilter::parse(each.filter, events().find(each.system, each.name)->format, &fault);
    CHECK(filter.has_value() == (each.file == nullptr));
    if (!filter && each.file) CHECK(describe_fault(each.filter, fault) == each.file);
  }
}

TEST_CASE("brackets may nest as deep as they like") {
  std::string deep(100000, '(');
  CHECK(verdict("syscalls", "sys_enter_getpgid", deep + "pid == 3" + std::string(deep.size(), ')')) == 0);
  CHECK(verdict("syscalls", "sys_enter_getpgid", std::string(100000, '!') + "pid == 3") == 0);
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
  CHECK(passing("!pid == 3") == 8);
  CHECK(passing("!!(pid == 3)") == 1);
  CHECK(passing("!(pid == 1 || pid == 2) && pid < 4") == 2);
  CHECK(passing("(pid == 1 || pid == 2) && (pid == 2 || pid == 3)") == 1);
  CHECK(passing("comm ~ \"!f*\"") == 0);
  CHECK(passing("comm ~ \"*i*t\"") == 9);
  CHECK(passing("comm ~ \"1*\"") == 0);
  CHECK(passing("comm ~ \"*lt\"") == 0);  // the end is that of an array of 16 bytes
}

TEST_CASE("patterns take no time") {
  std::string pattern, text(15, 'a');
  for (int i = 0; i < 100; ++i) pattern += "*a";
  auto filter = EventFilter::parse("comm ~ \"" + pattern + "b\"", events().find("syscalls", "sys_enter_getpgid")->format);
  REQUIRE(filter);
  CHECK_FALSE(filter->matches({.record = {}, .cpu = 0, .comm = text}));
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
  CHECK(passes(fork, "common_pid == 0x100000000"));  // as wide as the field
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
