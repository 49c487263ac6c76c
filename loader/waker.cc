// SPDX-License-Identifier: Apache-2.0
#include "loader/waker.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace bpfemu {

namespace {

constexpr u64 kSecond = 1'000'000'000;
// A kick may arrive just before the tracer blocks, so it is repeated until the tracer has attended.
constexpr u64 kFirstKick = 1'000'000, kSlowestKick = 16'000'000;

timespec to_timespec(u64 ns) {
  return {static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
}

u64 now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

bool add(int epoll, int fd) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

int Waker::kick_signal() {
  return SIGRTMAX - 3;
}

Result<void> Waker::start(u64 signals, Signalled signalled) {
  signalled_ = std::move(signalled);
  tracer_ = static_cast<pid_t>(::syscall(SYS_gettid));
  sigset_t set;
  ::sigemptyset(&set);
  for (int signal = 1; signal <= 64; ++signal)
    if (signals >> (signal - 1) & 1) ::sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  struct sigaction kick = {};
  kick.sa_handler = [](int) {};
  ::sigaction(kick_signal(), &kick, nullptr);

  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  alarm_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!epoll_ || !alarm_ || !signals_ || !stop_) return fail(errno);
  for (int fd : {alarm_.get(), signals_.get(), stop_.get()})
    if (!add(epoll_.get(), fd)) return fail(errno);
  // The second thread takes no signals at all.
  sigset_t all, old;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  const int error = ::pthread_create(&thread_, nullptr, run, this);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (error) return fail(error);
  return {};
}

Waker::~Waker() {
  if (!thread_) return;
  stopping_ = true;
  const u64 one = 1;
  if (::write(stop_.get(), &one, sizeof one) == sizeof one) ::pthread_join(thread_, nullptr);
}

void* Waker::run(void* self) {
  static_cast<Waker*>(self)->watch_loop();
  return nullptr;
}

void Waker::watch_loop() {
  while (!stopping_) {
    epoll_event event;
    if (::epoll_wait(epoll_.get(), &event, 1, -1) <= 0) continue;
    pending_.store(true, std::memory_order_release);
    for (u64 pause = kFirstKick; pending() && !stopping_; pause = std::min(pause * 2, kSlowestKick)) {
      ::syscall(SYS_tgkill, ::getpid(), tracer_, kick_signal());
      const timespec wait = to_timespec(pause);
      ::nanosleep(&wait, nullptr);
    }
  }
}

Result<void> Waker::watch(int fd, std::function<void()> fire) {
  watched_[fd] = std::move(fire);
  if (!add(epoll_.get(), fd)) return fail(errno);
  return {};
}

u64 Waker::add_timer(u64 first_ns, u64 period_ns, std::function<void()> fire) {
  timers_[++last_id_] = {now() + first_ns, period_ns, std::move(fire)};
  set_alarm();
  return last_id_;
}

void Waker::set_alarm() {
  u64 next = 0;
  for (const auto& [id, timer] : timers_) next = next ? std::min(next, timer.next) : timer.next;
  itimerspec spec = {};
  spec.it_value = to_timespec(next);
  ::timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void Waker::attend() {
  u64 count = 0;
  const bool alarm = ::read(alarm_.get(), &count, sizeof count) == sizeof count;
  read_signals();
  for (auto& [fd, fire] : watched_) fire();
  if (alarm) run_timers();
  pending_.store(false, std::memory_order_release);
}

void Waker::read_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) signalled_(info);
}

void Waker::run_timers() {
  const u64 time = now();
  std::vector<u64> due;
  for (const auto& [id, timer] : timers_)
    if (timer.next <= time) due.push_back(id);
  for (u64 id : due) {
    // A callback may cancel any timer, its own too.
    const auto it = timers_.find(id);
    if (it == timers_.end()) continue;
    const std::function<void()> fire = it->second.fire;
    if (it->second.period == 0) {
      timers_.erase(it);
    } else {
      // Periods that were missed are lost, as with the kernel's hrtimer_forward.
      it->second.next += (time - it->second.next) / it->second.period * it->second.period + it->second.period;
    }
    fire();
  }
  set_alarm();
}

}  // namespace bpfemu
