// SPDX-License-Identifier: Apache-2.0
#include "loader/widening.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "loader/forced_signal.h"
#include "loader/proc_files.h"
#include "loader/stop.h"

namespace bpfemu {

namespace {

constexpr size_t kScratch = 4096;
// How long a thread that was interrupted may take to stop: on a busy machine it waits for its turn. One in an
// uninterruptible sleep is not waited for; it is widened when it wakes.
constexpr u64 kPatience = 2'000'000'000, kShortPatience = 20'000'000;

u64 now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * u64{1'000'000'000} + t.tv_nsec;
}

// Between two steps of the tracer: an exec whose event is still to be handled has no known address space, and at a
// signal's stop a remote call would lose the signal; the interrupt comes right after it, before the handler runs.
bool can_call(const TracedTask& task) {
  using At = TracedTask::At;
  if (task.awaiting()) return false;  // in a call that we run there already
  return task.at() == At::kSeccomp || task.at() == At::kTrap || (task.at() == At::kSyscallExit && !task.entry_stop);
}

// struct sock_fprog and its instructions, as they will lie at `address`.
std::vector<u8> image_of(const std::vector<sock_filter>& code, u64 address) {
  sock_fprog program{static_cast<unsigned short>(code.size()),
                     reinterpret_cast<sock_filter*>(address + sizeof program)};
  std::vector<u8> image(sizeof program + code.size() * sizeof(sock_filter));
  std::memcpy(image.data(), &program, sizeof program);
  std::memcpy(image.data() + sizeof program, code.data(), code.size() * sizeof(sock_filter));
  return image;
}

// A thread that has dropped CAP_SYS_ADMIN since may do it with no_new_privs only.
Result<u64> install(TracedTask& task, u64 flags, u64 program) {
  const std::array<u64, 6> args = {SECCOMP_SET_MODE_FILTER, flags, program};
  const Result<u64> installed = task.call(SYS_seccomp, args);
  if (installed || installed.error().value != EACCES) return installed;
  TRY(task.call(SYS_prctl, {PR_SET_NO_NEW_PRIVS, 1}));
  return task.call(SYS_seccomp, args);
}

}  // namespace

bool Widening::lacks(const TracedTask& task) const {
  return ((wanted_ | task.process().own_calls) & ~task.traced).any() && !task.memory().compat;
}

void Widening::ensure(TracedTask& task) {
  if (!lacks(task)) return;
  const SyscallSet missing = (wanted_ | task.process().own_calls) & ~task.traced;
  FilterSpec spec;
  spec.trace = missing;
  if (build_filter(spec).size() * sizeof(sock_filter) > kScratch - sizeof(sock_fprog)) spec.trace.set();
  const Result<u64> at = task.scratch(kScratch);
  if (!at) return;
  const std::vector<u8> image = image_of(build_filter(spec), *at);
  if (!task.write(*at, image.data(), image.size())) return;
  // A positive result names a thread with a filter of its own: then each thread is on its own.
  const Result<u64> all = install(task, SECCOMP_FILTER_FLAG_TSYNC, *at);
  if (all && *all == 0) {
    for (TracedTask* thread : task.process().threads) thread->traced |= spec.trace;
  } else if (install(task, 0, *at)) {
    task.traced |= spec.trace;
  }
}

void Widening::want(const SyscallSet& calls) {
  if ((calls & ~wanted_).none()) return;
  wanted_ |= calls;
  // Interrupt all groups first, then collect them: they come to a stop meanwhile.
  std::vector<std::pair<std::shared_ptr<Process>, TracedTask*>> waiting;
  for (const auto& process : tasks_.processes())
    if (!settle(process, nullptr)) waiting.emplace_back(process, interrupt_one(*process));
  for (const auto& [process, interrupted] : waiting) settle(process, interrupted);
}

void Widening::want(Process& process, const SyscallSet& calls) {
  process.own_calls |= calls;
  const auto shared = process.threads.front()->shared_process();
  if (!settle(shared, nullptr)) settle(shared, interrupt_one(process));
}

void Widening::revisit(const SyscallSet& calls) {
  if (calls.none()) return;
  std::vector<pid_t> interrupted;
  for (const auto& process : tasks_.processes())
    for (TracedTask* thread : process->threads) {
      if (thread->at() != TracedTask::At::kRunning || thread->pending || thread->interrupted || thread->in_vfork ||
          thread->memory().compat)
        continue;
      const Result<long> number = read_sleeping_call(thread->tid());
      if (number && calls[static_cast<size_t>(*number)] && interrupt_asleep(*thread))
        interrupted.push_back(thread->tid());
    }
  const u64 deadline = now() + kPatience;
  for (pid_t tid : interrupted)
    if (TracedTask* thread = tasks_.find(tid); thread && thread->interrupted) collect(*thread, deadline);
}

// Widens the process from threads that stand still; from `interrupted` and its siblings when there is one. True when
// no thread lacks anything.
bool Widening::settle(const std::shared_ptr<Process>& process, TracedTask* interrupted) {
  const u64 deadline = now() + kPatience;
  for (;;) {
    const std::vector<TracedTask*> threads = process->threads;
    for (TracedTask* thread : threads)
      if (can_call(*thread)) ensure(*thread);
    if (std::none_of(threads.begin(), threads.end(), [&](TracedTask* t) { return lacks(*t); })) return true;
    if (!interrupted) return false;
    if (!collect(*interrupted, deadline) || !lacks(*interrupted)) interrupted = interrupt_one(*process);
    if (now() > deadline) return false;
  }
}

// Interrupts the thread that is least disturbed: one that runs in user mode, else any. Null: there is nothing to wait
// for now. A thread that stands at a stop where it cannot make calls comes by once it is resumed.
TracedTask* Widening::interrupt_one(Process& process) {
  using At = TracedTask::At;
  TracedTask *running = nullptr, *standing = nullptr;
  for (TracedTask* thread : process.threads) {
    if (thread->in_vfork || thread->starting || thread->exit_reported || thread->interrupted || !lacks(*thread))
      continue;
    if (thread->at() == At::kRunning) {
      if (!running || read_state(thread->tid()).value_or('S') == 'R') running = thread;
    } else if (thread->at() != At::kExiting && !can_call(*thread)) {
      standing = thread;
    }
  }
  TracedTask* const chosen = running ? running : standing;
  if (!chosen) return nullptr;
  return interrupt_asleep(*chosen) ? running : nullptr;
}

bool Widening::interrupt_asleep(TracedTask& task) {
  const bool asleep = task.at() == TracedTask::At::kRunning && read_state(task.tid()).value_or('R') == 'S';
  task.asleep_ns = asleep ? read_asleep_ns(task.tid()) : 0;
  return task.interrupt().has_value();
}

// Waits until the thread stops, for whatever reason; the tracer sees that stop later. One that stands already, where it
// cannot make calls, stops no more before the tracer has seen that.
bool Widening::collect(TracedTask& task, u64 deadline_ns) {
  if (task.at() != TracedTask::At::kRunning) return false;
  for (const u64 start = now(); now() < deadline_ns;) {
    const Result<Waited> waited = env_.os.wait(task.tid(), false);
    if (!waited) return false;
    if (waited->tid == 0) {
      if (now() - start > kShortPatience && read_state(task.tid()).value_or('D') == 'D') return false;
      const timespec pause{0, 20'000};
      ::nanosleep(&pause, nullptr);
      continue;
    }
    const StopEvent event = decode(*waited);
    env_.postponed.push_back(event);
    note_stop(task, event);
    if (event.kind == StopEvent::Kind::kDead || event.kind == StopEvent::Kind::kExiting) return false;
    if (can_call(task)) ensure(task);
    return true;
  }
  return false;
}

}  // namespace bpfemu
