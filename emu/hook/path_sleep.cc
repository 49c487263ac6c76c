// SPDX-License-Identifier: Apache-2.0
// Calls that wait for a time: which timers they start.
#include <sys/syscall.h>
#include <time.h>

#include "emu/base/proc_files.h"
#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

constexpr u64 kAbsolute = 0, kRelative = 1;  // kernel: HRTIMER_MODE_ABS, HRTIMER_MODE_REL
constexpr s64 kInterrupted = -516;           // ERESTART_RESTARTBLOCK
constexpr u64 kUsualSlack = 50'000;          // ns, unless prctl(PR_SET_TIMERSLACK) said otherwise
constexpr s64 kNsPerSecond = 1'000'000'000;
constexpr s64 kMostSeconds = INT64_MAX / kNsPerSecond;  // KTIME_SEC_MAX

// Clocks whose sleepers are hrtimers (kernel: common_nsleep).
bool sleeps_by_hrtimer(u64 clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME || clock == CLOCK_TAI;
}

u64 timer_slack(pid_t tid) {
  const auto text = read_proc(tid, "timerslack_ns");
  return text ? ::strtoull(text->c_str(), nullptr, 10) : kUsualSlack;
}

}  // namespace

// nanosleep, clock_nanosleep (kernel: hrtimer_nanosleep)
Path sleeping(Transit& call) {
  const bool any_clock = call.number() == SYS_clock_nanosleep;
  if (any_clock && !sleeps_by_hrtimer(call.arg(0))) co_return;
  timespec wanted;
  if (!call.task().read(call.arg(any_clock ? 2 : 0), &wanted, sizeof wanted)) co_return;
  if (wanted.tv_sec < 0 || wanted.tv_nsec < 0 || wanted.tv_nsec >= kNsPerSecond) co_return;
  const u64 expires =
      wanted.tv_sec >= kMostSeconds ? INT64_MAX : static_cast<u64>(wanted.tv_sec * kNsPerSecond + wanted.tv_nsec);
  const u64 mode = any_clock && (call.arg(1) & TIMER_ABSTIME) ? kAbsolute : kRelative;

  KernelObject sleeper;
  u64 slack = 0;
  if (call.awaited(Hook::do_nanosleep) || call.awaited(Hook::hrtimer_start_range_ns)) {
    slack = timer_slack(call.task().tid());
    sleeper = local(call, "hrtimer_sleeper");
    const KernelObject base = local(call, "hrtimer_clock_base");
    base.set("clockid", static_cast<s32>(any_clock ? call.arg(0) : CLOCK_MONOTONIC));
    sleeper.set("timer.base", base.address());
    sleeper.set("timer._softexpires", expires);
    sleeper.set("timer.node.expires", expires + slack);
    sleeper.set("task", call.services().task_struct(call.task().tid()));
  }
  const Passing do_nanosleep = call.enter(Hook::do_nanosleep, [&](Arguments& a) {
    a[0] = sleeper.address();
    a[1] = mode;
  });
  call.enter(Hook::hrtimer_start_range_ns,
             [&](Arguments& a) {
               a[0] = sleeper.address("timer");
               a[1] = expires;
               a[2] = slack;
               a[3] = mode;
             })
      .leave(0);
  do_nanosleep.leave(co_await call.done() == 0 ? 0 : kInterrupted);
}

// All others that may start one, for a timeout or as a timer of their own.
Path timing(Transit& call) {
  call.untold(Hook::hrtimer_start_range_ns);
  if (call.number() == SYS_restart_syscall) call.untold(Hook::do_nanosleep);
  co_return;
}

}  // namespace bpfemu
