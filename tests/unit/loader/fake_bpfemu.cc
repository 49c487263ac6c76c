// SPDX-License-Identifier: Apache-2.0
// A bpfemu whose kernel model is a few made-up answers, so that the loader is tested without the model:
//   bpf(0)            42
//   bpf(1)            a carrier: the read end of a pipe that holds "carrier"
//   bpf(2, addr, n)   fills n bytes at addr with 'x', through scratch and remote calls as well
//   bpf(3, nr)        from now on counts entries and exits of call nr, in all processes
//   bpf(4), bpf(5)    entries, exits counted so far
//   bpf(6, nr)        stops at nr in this process alone
//   bpf(7, ns)        a timer
//   bpf(8)            times that it fired
//   bpf(9, fd)        inode of the caller's fd
//   bpf(10)           how many forks, execs and exits were seen, as digits f*10000 + e*100 + x
// openat of "/made/up" opens /dev/null instead. Usage: fake_bpfemu [-w] [-a] [-s] [-d] [-r] COMMAND...
//   -w  wait for all    -a  probes want every call    -s  probes want one call more every 5 ms
//   -d  every call that makes a task is held up for a millisecond, as on a machine that is too busy
//   -r  each call that is handled waits for a remote call in the caller, after which it must be called anew
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "loader/session.h"

using namespace bpfemu;

namespace {

class Fake final : public CallHandler, public EventSink {
 public:
  explicit Fake(LoaderHost& host) : host_(host) {}

  Reply enter(Call& call) override {
    if (detour) (void)call.task.call(SYS_getppid, {});
    if (call.number == SYS_bpf) return bpf(call);
    if (call.number == SYS_openat) {
      const auto path = call.task.read_string(call.args[1], 64);
      if (!path || *path != "/made/up") return Reply::native();
      const auto at = call.task.scratch(16);
      if (!at || !call.task.write(*at, "/dev/null", 10)) return Reply::answer(-EFAULT);
      call.args[1] = *at;
      return Reply::rewritten();
    }
    if (call.number == SYS_epoll_wait) return Reply::native_then_exit();
    return Reply::native();
  }

  void want_all() {
    SyscallSet all;
    all.set();
    host_.want_syscalls(all, all);
  }
  void want_next() {
    if (next_ < 335) storm_.set(next_++);
    host_.want_syscalls(storm_, storm_);
  }

  s64 exit(Call&, s64 result) override { return result; }
  EventSink* events() override { return this; }
  u32 version_code() override { return 0x060187; }

  std::optional<s64> syscall_entered(Task&, PtRegs&, long number) override {
    entries_ += entry_[place_of_call(number)];
    const bool makes_task = number == SYS_clone || number == SYS_clone3 || number == SYS_fork || number == SYS_vfork;
    if (delay && makes_task) ::usleep(1000);
    return std::nullopt;
  }
  s64 syscall_exited(Task&, PtRegs&, long number, s64 result) override {
    exits_ += entry_[place_of_call(number)];
    return result;
  }
  void task_forked(Task&, pid_t, bool) override { ++forks_; }
  void task_executed(Task&, pid_t, const std::string&) override { ++execs_; }
  void task_exiting(Task&, int) override { ++exits_seen_; }
  void task_gone(pid_t) override {}
  void signal_generated(Task*, const GeneratedSignal&) override {}
  bool site_hit(Task&, Sites::Id, PtRegs&) override { return true; }
  bool site_wanted(Sites::Id, pid_t) override { return false; }
  void site_lost(Sites::Id, const char*) override {}
  void function_returned(Task&, u64, PtRegs&) override {}

  bool delay = false, detour = false;

 private:
  Reply bpf(Call& call) {
    switch (call.args[0]) {
      case 0: return Reply::answer(42);
      case 1: return Reply::answer(carrier(call.task));
      case 2: return Reply::answer(fill(call));
      case 3:
        entry_.set(call.args[1]);
        host_.want_syscalls(entry_, entry_);
        return Reply::answer(0);
      case 4: return Reply::answer(entries_);
      case 5: return Reply::answer(exits_);
      case 6: {
        SyscallSet set;
        set.set(call.args[1]);
        host_.want_in_process(call.task, set);
        return Reply::answer(0);
      }
      case 7: host_.add_timer(call.args[1], [this] { ++fired_; }); return Reply::answer(0);
      case 8: return Reply::answer(fired_);
      case 9: {
        const auto id = call.task.file_id(static_cast<int>(call.args[1]));
        return Reply::answer(id ? static_cast<s64>(id->ino) : -id.error().value);
      }
      case 10: return Reply::answer(forks_ * 10000 + execs_ * 100 + exits_seen_);
      default: return Reply::answer(-EINVAL);
    }
  }

  Result<u64> carrier(Task& task) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno);
    UniqueFd read(ends[0]), write(ends[1]);
    if (::write(write.get(), "carrier", 7) != 7) return fail(EIO);
    return static_cast<u64>(TRY(task.install_fd(read.get(), true)));
  }

  Result<u64> fill(Call& call) {
    const u64 pid = TRY(call.task.call(SYS_getppid, {}));
    const u64 at = TRY(call.task.scratch(4096));
    TRY(call.task.write(at, "x", 1));
    char x = 0;
    TRY(call.task.read(at, &x, 1));
    const std::string text(call.args[2], x);
    TRY(call.task.write(call.args[1], text.data(), text.size()));
    return pid;
  }

  LoaderHost& host_;
  SyscallSet entry_, storm_;
  size_t next_ = 0;
  s64 entries_ = 0, exits_ = 0, fired_ = 0, forks_ = 0, execs_ = 0, exits_seen_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  TrapHandler traps;
  Session session(traps);
  Fake fake(session.host());
  Command command;
  int first = 1;
  for (; first < argc && argv[first][0] == '-'; ++first) {
    if (std::strcmp(argv[first], "-w") == 0) command.wait_all = true;
    if (std::strcmp(argv[first], "-d") == 0) fake.delay = true;
    if (std::strcmp(argv[first], "-r") == 0) fake.detour = true;
    if (std::strcmp(argv[first], "-a") == 0) session.on_start([&](Waker&) { fake.want_all(); });
    if (std::strcmp(argv[first], "-s") == 0)
      session.on_start([&](Waker& waker) { waker.add_timer(5'000'000, 5'000'000, [&] { fake.want_next(); }); });
  }
  command.argv.assign(argv + first, argv + argc);
  SyscallSet traced, denied;
  for (long number : {SYS_bpf, SYS_openat, SYS_execve}) traced.set(number);
  denied.set(SYS_bpf);
  const Outcome outcome = session.run(command, Root{}, traced, denied, fake,
                                      [](std::string_view what) { std::fprintf(stderr, "note: %s\n", what.data()); });
  if (outcome.kind != Outcome::Kind::kEnded) {
    std::fprintf(stderr, "fake_bpfemu: failed (%d): %s\n", static_cast<int>(outcome.kind),
                 std::strerror(outcome.value));
    return 125;
  }
  return WIFEXITED(outcome.value) ? WEXITSTATUS(outcome.value) : 128 + WTERMSIG(outcome.value);
}
