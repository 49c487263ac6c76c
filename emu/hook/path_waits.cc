// SPDX-License-Identifier: Apache-2.0
// Calls that wait for a child, or for a word of memory.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

#include "emu/hook/paths.h"
#include "emu/hook/record.h"
#include "emu/hook/thread_words.h"

namespace bpfemu {

namespace {

// Whom a wait is for (kernel: kernel_wait4, kernel_waitid).
struct Awaited {
  bool valid = false;
  bool of_process = false;
  pid_t pid = 0;  // 0: anybody
};

Awaited by_number(Transit& call) {
  constexpr u64 kOptions = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
  const pid_t whom = static_cast<pid_t>(call.arg(0));
  if (call.arg(2) & 0xffffffff & ~kOptions || whom == INT_MIN) return {};
  if (whom > 0) return {true, true, whom};
  return {true, false, whom == -1 ? 0 : whom == 0 ? ::getpgid(call.task().tid()) : -whom};
}

Awaited by_type(Transit& call) {
  constexpr u64 kOptions = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
  const pid_t whom = static_cast<pid_t>(call.arg(1));
  const u64 options = call.arg(3) & 0xffffffff;
  if (options & ~kOptions || !(options & (WEXITED | WSTOPPED | WCONTINUED))) return {};
  switch (static_cast<u32>(call.arg(0))) {
    case P_ALL: return {true, false, 0};
    case P_PID: return {whom > 0, true, whom};
    case P_PGID: return {whom >= 0, false, whom ? whom : ::getpgid(call.task().tid())};
    default: return {};
  }
}

// kernel: futex_init_timeout. FUTEX_WAIT's is relative.
s64 ktime_of(Transit& call, u32 command, const timespec& until) {
  const s64 given = until.tv_sec >= INT64_MAX / 1'000'000'000 ? INT64_MAX : until.tv_sec * 1'000'000'000 + until.tv_nsec;
  if (command != FUTEX_WAIT) return given;
  const s64 now = static_cast<s64>(call.services().host.clock(CLOCK_MONOTONIC));
  return given > INT64_MAX - now ? INT64_MAX : now + given;
}

// Asked of the task itself.
bool exists(Transit& call, const Awaited& whom) {
  if (!whom.pid) return false;
  const s64 target = whom.of_process ? whom.pid : -whom.pid;
  const auto asked = call.task().call(SYS_kill, {static_cast<u64>(target), 0});
  return asked || asked.error().value == EPERM;
}

// The struct pid of a process; of a group, and of a process that has ended, one of that number.
u64 pid_struct(Transit& call, const Awaited& whom) {
  if (!exists(call, whom)) return 0;
  ObjectSpace& objects = call.services().objects;
  const u64 task = whom.of_process ? call.services().task_struct(whom.pid) : 0;
  const u64 member = task ? KernelObject(task, objects.structure("task_struct")).address("thread_pid") : 0;
  if (member) return load<u64>(reinterpret_cast<const void*>(member));
  const KernelObject pid = objects.object(objects.structure("pid"), "awaited " + std::to_string(whom.pid));
  const u64 numbers = pid.address("numbers");
  if (numbers) KernelObject(numbers, objects.structure("upid")).set("nr", s32{whom.pid});
  return pid.address();
}

}  // namespace

// wait4, waitid (kernel: do_wait). A pid that nobody has is none.
Path waiting_for_task(Transit& call) {
  const bool typed = call.number() == SYS_waitid;
  const Awaited whom = typed ? by_type(call) : by_number(call);
  if (typed && call.arg(0) == P_PIDFD) call.untold(Hook::trace_sched_process_wait);
  if (!whom.valid) co_return;
  call.trace(
      Hook::trace_sched_process_wait, [&](Arguments& a) { a.lazily(0, [&] { return pid_struct(call, whom); }); },
      [&](Record& r) {
        const TaskFacts facts = call.services().host.facts(call.task().tid()).value_or(TaskFacts{});
        r.comm("comm", facts);
        r.set("pid", exists(call, whom) ? whom.pid : 0);
        r.set("prio", facts.priority);
      });
}

// set_tid_address
Path naming_word(Transit& call) {
  call.services().thread_words.set(call.task().tid(), call.arg(0));
  co_return;
}

// futex: a time that is none is refused before do_futex.
Path waiting_for_word(Transit& call) {
  const u32 command = static_cast<u32>(call.arg(1)) & FUTEX_CMD_MASK;
  const bool waits = command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_WAIT_REQUEUE_PI ||
                     command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2;
  const bool timed = waits && call.arg(3);
  timespec until{};
  if (timed && (!call.task().read(call.arg(3), &until, sizeof until) || until.tv_sec < 0 || until.tv_nsec < 0 ||
                until.tv_nsec >= 1'000'000'000))
    co_return;
  if (timed) call.untold(Hook::hrtimer_start_range_ns);
  const Passing do_futex = call.enter(Hook::do_futex, [&](Arguments& a) {
    for (u32 n = 0; n < 3; ++n) a[n] = call.arg(n);
    a[1] = static_cast<u32>(a[1]);
    a[2] = static_cast<u32>(a[2]);
    a.lazily(3, [&] { return timed ? call.place(ktime_of(call, command, until)) : 0; });
    a[4] = call.arg(4);
    a[5] = static_cast<u32>(call.arg(3));
    a[6] = static_cast<u32>(call.arg(5));
  });
  do_futex.leave(co_await call.done());
}

}  // namespace bpfemu
