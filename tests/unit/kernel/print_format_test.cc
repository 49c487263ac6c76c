// SPDX-License-Identifier: Apache-2.0
// Lines of the trace by an event's `print fmt`. The texts are those of Debian's 6.1.
#include "emu/kernel/print_format.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/kernel/event_switches.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/trace_log.h"

namespace bpfemu {
namespace {

const KernelData& kernel() {
  static const Profile kProfile = default_profile();
  static const KernelData kKernel(kProfile);
  return kKernel;
}

struct Line {
  explicit Line(std::string_view system, std::string_view name)
      : format(kernel().events().find(system, name)->format) {}
  std::string_view format;
  std::vector<u8> record = std::vector<u8>(256);

  Line& set(std::string_view name, s64 value) {
    for (const EventField& field : fields_of(format)) {
      if (field.name == name) memcpy(record.data() + field.offset, &value, std::min<size_t>(field.size, sizeof value));
    }
    return *this;
  }
  Line& bytes(std::string_view name, std::string_view value) {
    for (const EventField& field : fields_of(format)) {
      if (field.name == name)
        memcpy(record.data() + field.offset, value.data(), std::min<size_t>(field.size, value.size()));
    }
    return *this;
  }
  Line& text(std::string_view name, std::string_view value) {
    memcpy(record.data() + 200, value.data(), value.size());
    return set(name, static_cast<s64>((value.size() + 1) << 16 | 200));
  }
  std::string print() const {
    std::string out;
    const PrintFormat print(format, [](u64 address, bool offset) {
      return offset ? "f+0x1/0x2" : address ? "f" : "0x0";
    });
    CHECK(print.print(record, out));
    return out;
  }
};

TEST_CASE("numbers, texts and flags of records") {
  CHECK(Line("sched", "sched_process_exit").bytes("comm", "cat").set("pid", 401).set("prio", 120).print() ==
        "comm=cat pid=401 prio=120");
  CHECK(Line("sched", "sched_process_exec")
            .text("filename", "/usr/bin/cat")
            .set("pid", 401)
            .set("old_pid", 401)
            .print() == "filename=/usr/bin/cat pid=401 old_pid=401");
  CHECK(Line("sched", "sched_wakeup")
            .bytes("comm", "rcu_preempt")
            .set("pid", 15)
            .set("prio", 120)
            .set("target_cpu", 1)
            .print() == "comm=rcu_preempt pid=15 prio=120 target_cpu=001");
  CHECK(Line("task", "task_newtask").set("pid", 403).bytes("comm", "sh").set("clone_flags", 0x1200000).print() ==
        "pid=403 comm=sh clone_flags=1200000 oom_score_adj=0");
  CHECK(Line("raw_syscalls", "sys_exit").set("id", 257).set("ret", -2).print() == "NR 257 = -2");
  CHECK(Line("raw_syscalls", "sys_enter")
            .set("id", 72)
            .bytes("args", std::string_view("\x0d\0\0\0\0\0\0\0\x02", 9))
            .print() == "NR 72 (d, 2, 0, 0, 0, 0)");
}

TEST_CASE("states of tasks") {
  Line line("sched", "sched_switch");
  line.bytes("prev_comm", "sh")
      .bytes("next_comm", "swapper/0")
      .set("prev_pid", 130)
      .set("prev_prio", 120)
      .set("next_prio", 120);
  auto with = [&](s64 state) { return line.set("prev_state", state).print(); };
  CHECK(with(2) ==
        "prev_comm=sh prev_pid=130 prev_prio=120 prev_state=D ==> next_comm=swapper/0 next_pid=0 next_prio=120");
  CHECK(with(0).find("prev_state=R ==>") != std::string::npos);
  CHECK(with(0x100).find("prev_state=R+ ==>") != std::string::npos);
  CHECK(with(0x81).find("prev_state=S|I ==>") != std::string::npos);
}

TEST_CASE("addresses and names of numbers") {
  Line line("sock", "inet_sock_set_state");
  line.set("family", 2).set("protocol", 6).set("sport", 36503).set("oldstate", 7).set("newstate", 10);
  line.bytes("saddr", "\x7f\0\0\x01")
      .bytes("saddr_v6", std::string_view("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01", 16));
  line.bytes("saddr", std::string_view("\x7f\0\0\x01", 4))
      .bytes("daddr_v6", std::string_view("\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16));
  CHECK(
      line.print() ==
      "family=AF_INET protocol=IPPROTO_TCP sport=36503 dport=0 saddr=127.0.0.1 daddr=0.0.0.0 saddrv6=::ffff:127.0.0.1 "
      "daddrv6=fe80::1 oldstate=TCP_CLOSE newstate=TCP_LISTEN");
  CHECK(line.set("family", 3).print().starts_with("family=0x3 "));
}

TEST_CASE("a record that ends early, a format that is none") {
  Line line("sched", "sched_process_exit");
  line.record.resize(12);
  std::string out;
  CHECK_FALSE(PrintFormat(line.format, {}).print(line.record, out));
  CHECK_FALSE(PrintFormat("name: x\n", {}).print(line.record, out));
  CHECK_FALSE(PrintFormat("print fmt: \"%d\", REC->a", {}).print(line.record, out));
  CHECK_FALSE(PrintFormat("print fmt: \"%d\", " + std::string(5000, '('), {}).print(line.record, out));
  const std::string deep = "print fmt: \"%d\", " + std::string(200000, '~') + "1";
  CHECK_FALSE(PrintFormat(deep, {}).print(line.record, out));
}

TEST_CASE("lines have their place by time") {
  TraceLog log;
  log.add({.comm = "b", .pid = 2, .time_ns = 2'000'000, .flags = "....."}, "two\n", "type: 2\n");
  log.add({.comm = "a", .pid = 1, .time_ns = 1'000'000, .flags = "....."}, "one\n", "type: 1\n");
  const std::string all = log.listing(2);
  CHECK(
      all.ends_with("               a-1       [000] .....     0.001000: one\n               b-2       [000] .....     "
                    "0.002000: two\n"));
  log.clear();
  CHECK(log.listing(2).find("entries-written: 0/0") != std::string::npos);
  CHECK(log.size_text(1) == "7 (expanded: 1408)\n");
  CHECK(log.resize(100));
  CHECK(log.size_text(2) == "206\n");
  CHECK_FALSE(log.resize(0));
}

struct Recorder : EventRecorder {
  std::set<u32> on;
  bool knows(u32 id) const override { return kernel().events().find(id)->system == "sched"; }
  Result<void> turn(u32 id, bool wanted) override {
    wanted ? (void)on.insert(id) : (void)on.erase(id);
    return {};
  }
  void together(const std::function<void()>& turns) override { turns(); }
};

TEST_CASE("events are turned on by name") {
  Unmodelled unmodelled;
  DynamicEvents dynamic(kernel(), unmodelled, 2);
  EventSwitches switches(kernel(), dynamic, unmodelled);
  Recorder recorder;
  switches.recorder = &recorder;
  CHECK(switches.set_events("sched:sched_process_exec\n sched_process_exit"));
  CHECK(switches.set_events_listing() == "sched:sched_process_exec\nsched:sched_process_exit\n");
  CHECK(recorder.on.size() == 2);
  CHECK(switches.state("sched") == 'X');
  CHECK(switches.state("skb") == '0');
  CHECK(switches.state("none") == '?');
  CHECK(switches.set_events("!sched:"));
  CHECK(switches.state("sched") == '0');
  CHECK(recorder.on.empty());
  for (const char* bad : {"nosuch", "nosuch:x", "sched:*exec", "*:sched_process_e*", "ftrace:function"}) {
    INFO(bad);
    CHECK_FALSE(switches.set_events(bad));
  }
  CHECK(switches.set_events(":sched_switch"));
  CHECK(switches.set_events("!*:*"));
  CHECK(switches.enable_system("sched", true));
  CHECK(switches.state("sched") == '1');
  CHECK(unmodelled.lines().empty());
  CHECK_FALSE(switches.enable(kernel().events().find("skb", "consume_skb")->id, true));
  CHECK(switches.enable_system("skb", true));
  CHECK(switches.state("skb") == '1');
  CHECK_FALSE(unmodelled.lines().empty());
}

TEST_CASE("whose events are recorded") {
  Unmodelled unmodelled;
  DynamicEvents dynamic(kernel(), unmodelled, 2);
  EventSwitches switches(kernel(), dynamic, unmodelled);
  CHECK(switches.wants(7));
  CHECK(switches.only.add("1 2\n"));
  CHECK(switches.only.listing() == "1\n2\n");
  CHECK_FALSE(switches.only.add("5 x"));
  CHECK_FALSE(switches.only.add("99999999999"));
  CHECK(switches.only.listing() == "1\n2\n");
  CHECK_FALSE(switches.wants(7));
  CHECK(switches.wants(2));
  CHECK(switches.never.add("2"));
  CHECK_FALSE(switches.wants(2));
}

}  // namespace
}  // namespace bpfemu
