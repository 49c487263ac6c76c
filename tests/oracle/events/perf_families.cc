// SPDX-License-Identifier: Apache-2.0
// Whose counts an event has: children, threads, what an exec changes, what stays when one has ended.
#include <sys/wait.h>
#include <unistd.h>

#include "tests/oracle/events/perf.h"
#include "tests/oracle/events/steps.h"

namespace events {
namespace {

perf_event_attr of_calls() {
  static const std::string target = "syscalls:sys_enter_getppid";
  return perf_attr(kTracepoint, target);
}

perf_event_attr of_calls(void (*apply)(perf_event_attr&)) {
  perf_event_attr attr = of_calls();
  apply(attr);
  return attr;
}

void five() {
  get_parent(5);
}

void grandchild() {
  get_parent(2);
  in_child([] { get_parent(30); });
}

void thread_and_child() {
  get_parent(1);
  in_thread([] { get_parent(20); });
  in_child([] { get_parent(300); });
}

// A child that waits to be told, then works, execs this program, which works again, and ends.
class Execing {
 public:
  Execing() {
    need(pipe(ends_) == 0, "a pipe");
    pid_ = fork();
    if (pid_ != 0) return;
    char byte;
    if (read(ends_[0], &byte, 1) != 1) _exit(1);
    get_parent(3);
    execl("/proc/self/exe", "events", "child", "getppid", "4", nullptr);
    _exit(2);
  }
  ~Execing() {
    close(ends_[0]);
    close(ends_[1]);
  }
  pid_t pid() const { return pid_; }
  void go() {
    int status = 0;
    need(write(ends_[1], "x", 1) == 1 && waitpid(pid_, &status, 0) == pid_ && status == 0, "an exec");
  }

 private:
  int ends_[2];
  pid_t pid_;
};

void ask_children() {
  const Perf alone(of_calls()), family(of_calls([](perf_event_attr&a) { a.inherit = 1; }));
  const Perf threads(of_calls([](perf_event_attr& a) { a.inherit = a.inherit_thread = 1; }));
  const Perf stat(of_calls([](perf_event_attr& a) { a.inherit = a.inherit_stat = 1; }));
  const auto ask = [&](const std::string& when) {
    answer("families " + when + " alone", alone.count());
    answer("families " + when + " inherit", family.count());
    answer("families " + when + " inherit_thread", threads.count());
    answer("families " + when + " inherit_stat", stat.count());
  };
  in_child(five);
  ask("after a child");
  in_thread(five);
  ask("after a thread");
  in_child(grandchild);
  ask("after a grandchild");
  in_child(thread_and_child);
  ask("after a child's thread");
  for (const Perf* event : {&alone, &family, &threads}) event->control(PERF_EVENT_IOC_RESET);
  ask("after a reset");
  get_parent(1);
  family.disable();
  in_child(five);
  ask("disabled for a child");
  family.enable();
  in_child(five);
  ask("enabled again");
}

// A child that lives while its parent's event is turned off and on.
void ask_living_child() {
  const Perf family(of_calls([](perf_event_attr& a) { a.inherit = 1; }));
  int to[2], from[2];
  need(pipe(to) == 0 && pipe(from) == 0, "pipes");
  const pid_t child = fork();
  if (child == 0) {
    for (char byte; read(to[0], &byte, 1) == 1 && byte != '0';) {
      get_parent(byte - '0');
      if (write(from[1], &byte, 1) != 1) break;
    }
    _exit(0);
  }
  const auto tell = [&](char what) {
    char byte;
    need(write(to[1], &what, 1) == 1 && (what == '0' || read(from[0], &byte, 1) == 1), "a living child");
  };
  tell('3');
  answer("families living enabled", family.count());
  family.disable();
  tell('4');
  answer("families living disabled", family.count());
  family.control(PERF_EVENT_IOC_RESET);
  answer("families living reset", family.count());
  family.enable();
  tell('5');
  answer("families living enabled again", family.count());
  tell('0');
  waitpid(child, nullptr, 0);
  answer("families living ended", family.count());
  for (const int fd : {to[0], to[1], from[0], from[1]}) close(fd);
}

void ask_exec(const char* name, void (*apply)(perf_event_attr&)) {
  Execing child;
  const Perf event(of_calls(apply), child.pid());
  const std::string question = std::string("families exec ") + name;
  answer(question + " opened", event.opened() ? 0 : event.fd());
  child.go();
  if (!event.opened()) return;
  answer(question, event.count());
  answer(question + " enabled when ended", event.control(PERF_EVENT_IOC_ENABLE));
  answer(question + " reset", event.control(PERF_EVENT_IOC_RESET));
  answer(question + " count then", event.count());
}

void ask_execs() {
  ask_exec("plainly", [](perf_event_attr&) {});
  ask_exec("disabled", [](perf_event_attr& a) { a.disabled = 1; });
  ask_exec("enable_on_exec", [](perf_event_attr& a) { a.disabled = a.enable_on_exec = 1; });
  ask_exec("enable_on_exec, enabled", [](perf_event_attr& a) { a.enable_on_exec = 1; });
  ask_exec("remove_on_exec", [](perf_event_attr& a) { a.remove_on_exec = 1; });
  ask_exec("remove_on_exec, inherit", [](perf_event_attr& a) { a.remove_on_exec = a.inherit = 1; });
  ask_exec("both", [](perf_event_attr& a) { a.remove_on_exec = a.enable_on_exec = 1; });
}

// Siblings of a leader that an exec enables.
void ask_group_exec() {
  Execing child;
  const Perf leader(of_calls([](perf_event_attr& a) { a.disabled = a.enable_on_exec = 1; }), child.pid());
  const Perf sibling(of_calls([](perf_event_attr&) {}), child.pid(), -1, leader.fd());
  const Perf off(of_calls([](perf_event_attr& a) { a.disabled = 1; }), child.pid(), -1, leader.fd());
  const Perf own(of_calls([](perf_event_attr& a) { a.disabled = a.enable_on_exec = 1; }), child.pid(), -1, leader.fd());
  child.go();
  answer("families exec group leader", leader.count());
  answer("families exec group sibling", sibling.count());
  answer("families exec group disabled sibling", off.count());
  answer("families exec group sibling of its own", own.count());
}

}  // namespace

void ask_families() {
  ask_children();
  ask_living_child();
  ask_execs();
  ask_group_exec();
}

}  // namespace events
