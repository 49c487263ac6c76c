// SPDX-License-Identifier: Apache-2.0
// What read() gives of an event and of a group, and who counts in a group.
#include <unistd.h>

#include <cerrno>
#include <map>

#include "tests/oracle/events/perf.h"
#include "tests/oracle/events/perf_ring.h"
#include "tests/oracle/events/steps.h"

namespace events {
namespace {

const std::string kEnter = "syscalls:sys_enter_getppid", kExit = "syscalls:sys_exit_getppid",
                  kProbed = "probed_failure";

perf_event_attr enters(bool disabled, u64 format = 0) {
  perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  attr.disabled = disabled;
  attr.read_format = format;
  return attr;
}
perf_event_attr exits(bool disabled, u64 format = 0) {
  perf_event_attr attr = perf_attr(kTracepoint, kExit);
  attr.disabled = disabled;
  attr.read_format = format;
  return attr;
}
perf_event_attr calls_of_probed(bool disabled, u64 format = 0) {
  perf_event_attr attr = perf_attr(kUprobe, kProbed);
  attr.disabled = disabled;
  attr.read_format = format;
  return attr;
}

// The words of a read as the format says: times by whether there are any and whether they are the same, ids by whose
// they are.
std::string read_text(const Perf& event, u64 format, const std::map<u64, std::string>& names) {
  const std::vector<u64> words = event.words();
  if (words.empty()) return errno_text(-errno);
  size_t at = 0;
  const auto next = [&] { return at < words.size() ? words[at++] : 0; };
  std::string text = std::to_string(words.size()) + " words:";
  const auto add = [&](const char* name, const std::string& value) { text += std::string(" ") + name + "=" + value; };
  const bool group = format & PERF_FORMAT_GROUP;
  u64 members = 1;
  if (group) add("members", std::to_string(members = next()));
  if (!group) add("count", std::to_string(next()));
  u64 enabled = 0;
  if (format & PERF_FORMAT_TOTAL_TIME_ENABLED) add("enabled", (enabled = next()) ? "some" : "0");
  if (format & PERF_FORMAT_TOTAL_TIME_RUNNING) {
    const u64 running = next();
    add("running", format & PERF_FORMAT_TOTAL_TIME_ENABLED ? running == enabled ? "as long" : "less"
                   : running                               ? "some"
                                                           : "0");
  }
  for (u64 i = 0; i < members && members < 16; ++i) {
    if (group) add("count", std::to_string(next()));
    if (format & PERF_FORMAT_ID) {
      const auto found = names.find(next());
      add("id", found == names.end() ? "unknown" : found->second);
    }
    if (format & PERF_FORMAT_LOST) add("lost", std::to_string(next()));
  }
  return text;
}

void ask_formats() {
  for (u64 format = 0; format < PERF_FORMAT_MAX; ++format) {
    const std::string question = "groups read_format " + std::to_string(format) + " ";
    {
      const Perf event(enters(true, format));
      answer(question + "never enabled", read_text(event, format, {{id_of(event), "own"}}));
      event.enable();
      get_parent(2);
      answer(question + "alone", read_text(event, format, {{id_of(event), "own"}}));
    }
    const Perf leader(enters(true, format)), first(exits(false, format), 0, -1, leader.fd());
    const Perf second(calls_of_probed(false, format), 0, -1, leader.fd());
    const std::map<u64, std::string> names{
        {id_of(leader), "leader"}, {id_of(first), "first"}, {id_of(second), "second"}};
    answer(question + "group before", read_text(leader, format, names));
    leader.enable();
    get_parent(4);
    call_probed(3);
    leader.disable();
    answer(question + "leader", read_text(leader, format, names));
    answer(question + "first sibling", read_text(first, format, names));
    answer(question + "second sibling", read_text(second, format, names));
  }
}

void ask_sizes() {
  constexpr u64 kAll = PERF_FORMAT_MAX - 1;
  const Perf leader(enters(false, kAll)), sibling(exits(false, kAll), 0, -1, leader.fd());
  const Perf alone(enters(false, PERF_FORMAT_ID));
  char buffer[256];
  for (const size_t size : {0, 1, 8, 15, 16, 17, 64, 71, 72, 80, 256}) {
    const auto ask = [&](const char* name, const Perf& event) {
      const ssize_t got = read(event.fd(), buffer, size);
      answer(std::string("groups read of ") + std::to_string(size) + " bytes " + name, got < 0 ? -errno : got);
    };
    ask("leader", leader);
    ask("sibling", sibling);
    ask("alone", alone);
  }
  const auto failed = [](ssize_t got) { return got < 0 ? -errno : static_cast<s64>(got); };
  answer("groups read to nowhere", failed(call(SYS_read, alone.fd(), 8L, 64L)));
  answer("groups write", failed(write(alone.fd(), buffer, 8)));
  answer("groups pread", failed(pread(alone.fd(), buffer, 64, 8)));
  answer("groups seek", failed(lseek(alone.fd(), 0, SEEK_SET)));
}

void ask_enabling() {
  for (const bool leader_off : {false, true})
    for (const bool sibling_off : {false, true}) {
      const Perf leader(enters(leader_off)), sibling(exits(sibling_off), 0, -1, leader.fd());
      const std::string begin = std::string("groups leader ") + (leader_off ? "disabled" : "enabled") + ", sibling " +
                                (sibling_off ? "disabled" : "enabled");
      const auto ask = [&](const char* what) {
        get_parent(1);
        answer(begin + " " + what + " leader", leader.count());
        answer(begin + " " + what + " sibling", sibling.count());
      };
      ask("opened");
      leader.enable();
      ask("leader on");
      sibling.enable();
      ask("sibling on");
      leader.disable();
      ask("leader off");
      sibling.disable();
      leader.enable();
      ask("sibling off");
      leader.control(PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP);
      ask("group on");
      sibling.control(PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP);
      ask("group off by its sibling");
      sibling.control(PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP);
      ask("group on by its sibling");
      leader.control(PERF_EVENT_IOC_RESET);
      ask("leader reset");
      sibling.control(PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP);
      ask("group reset");
    }
}

void ask_closing() {
  constexpr u64 kFormat = PERF_FORMAT_GROUP;
  Perf leader(enters(false, kFormat)), first(exits(false, kFormat), 0, -1, leader.fd());
  Perf second(enters(false, kFormat), 0, -1, leader.fd());
  get_parent(1);
  answer("groups closing nothing", read_text(leader, kFormat, {}));
  first.close();
  get_parent(1);
  answer("groups closing a sibling", read_text(leader, kFormat, {}));
  Perf third(exits(false, kFormat), 0, -1, leader.fd());
  get_parent(1);
  answer("groups closing, another joined", read_text(leader, kFormat, {}));
  leader.close();
  get_parent(1);
  answer("groups closing the leader, second", read_text(second, kFormat, {}));
  answer("groups closing the leader, third", read_text(third, kFormat, {}));
  second.disable();
  get_parent(1);
  answer("groups alone again, second", read_text(second, kFormat, {}));
  answer("groups alone again, third", read_text(third, kFormat, {}));
  Perf joined(enters(false, kFormat), 0, -1, third.fd());
  get_parent(1);
  answer("groups a former sibling leads", read_text(third, kFormat, {}));

  Perf off(enters(true, kFormat)), on(exits(false, kFormat), 0, -1, off.fd());
  get_parent(1);
  answer("groups of a disabled leader", on.count());
}

void ask_joining() {
  const Perf leader(enters(false)), sibling(exits(false), 0, -1, leader.fd()), on_cpu(enters(false), 0, 0);
  const Perf of_all(enters(false), -1, 0);
  const auto ask = [](const char* name, const Perf& event) {
    answer(std::string("groups joining ") + name, event.opened() ? 0 : event.fd());
  };
  const auto changed = [](void (*change)(perf_event_attr&)) {
    perf_event_attr attr = enters(false);
    change(attr);
    return attr;
  };
  ask("a sibling", Perf(enters(false), 0, -1, sibling.fd()));
  ask("one on a CPU", Perf(enters(false), 0, -1, on_cpu.fd()));
  ask("one elsewhere", Perf(enters(false), 0, 0, leader.fd()));
  ask("one of all tasks", Perf(enters(false), 0, 0, of_all.fd()));
  ask("one of all tasks, as such", Perf(enters(false), -1, 0, of_all.fd()));
  ask("one of a task, for all", Perf(enters(false), -1, 0, on_cpu.fd()));
  ask("what is no event", Perf(enters(false), 0, -1, STDOUT_FILENO));
  ask("nothing open", Perf(enters(false), 0, -1, 1000));
  ask("-2", Perf(enters(false), 0, -1, -2));
  ask("exclusive", Perf(changed([](perf_event_attr& a) { a.exclusive = 1; }), 0, -1, leader.fd()));
  ask("pinned", Perf(changed([](perf_event_attr& a) { a.pinned = 1; }), 0, -1, leader.fd()));
  ask("inherit", Perf(changed([](perf_event_attr& a) { a.inherit = 1; }), 0, -1, leader.fd()));
  ask("another clock",
      Perf(changed([](perf_event_attr& a) { a.use_clockid = 1, a.clockid = CLOCK_MONOTONIC; }), 0, -1, leader.fd()));
  ask("a kprobe", Perf(
                      [] {
                        static const std::string target = "do_sys_openat2";
                        return perf_attr(kKprobe, target);
                      }(),
                      0, -1, leader.fd()));
  ask("a counter", Perf(software_attr(PERF_COUNT_SW_DUMMY), 0, -1, leader.fd()));
  ask("a clock", Perf(software_attr(PERF_COUNT_SW_TASK_CLOCK), 0, -1, leader.fd()));
  ask("without a group", Perf(enters(false), 0, -1, leader.fd(), PERF_FLAG_FD_NO_GROUP));
  ask("for output, unmapped", Perf(enters(false), 0, -1, leader.fd(), PERF_FLAG_FD_OUTPUT));
  ask("for output without a group",
      Perf(enters(false), 0, -1, leader.fd(), PERF_FLAG_FD_OUTPUT | PERF_FLAG_FD_NO_GROUP));
}

}  // namespace

void ask_groups() {
  ask_formats();
  ask_sizes();
  ask_enabling();
  ask_closing();
  ask_joining();
}

}  // namespace events
