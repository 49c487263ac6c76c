// SPDX-License-Identifier: Apache-2.0
// Files of ours mapped into a process. mmap takes a descriptor, and what stands in the process' table for but an
// instant any of its threads can copy. So a thread is made that shares all but the table: it gets the descriptor into a
// table of its own, maps, and ends. Who would open it by /proc/PID/task/TID/fd stops before its call, and waits for us.
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#include "loader/stop.h"
#include "loader/task.h"

namespace bpfemu {

namespace {

constexpr u64 kHelperFlags = CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
// How long its end is waited for: it closes its copies of the process' descriptors, and a FUSE server may hear of it.
constexpr int kYields = 2000, kNaps = 100;
constexpr timespec kNap = {0, 100'000};

}  // namespace

Result<pid_t> TracedTask::make_helper() {
  // A signal that waits for the thread would make the kernel start the call over.
  if (at_ != At::kExec) TRY(block_signals());
  constexpr int kRestartNoIntr = 513;
  makes_helper_ = true;
  helper_ = 0;
  Result<u64> made = fail(kRestartNoIntr);
  while (!made && made.error().value == kRestartNoIntr) made = call(SYS_clone, {kHelperFlags, 0, 0, 0, 0, 0});
  makes_helper_ = false;
  if (!made) return fail(made.error().value == EAGAIN ? ENOMEM : made.error().value);
  return helper_ ? Result<pid_t>(helper_) : fail(ENOSYS);
}

// Lets it end, and sees to it that it has. If that takes long, the tracer sees the rest.
void TracedTask::end_helper() {
  (void)begin_call(SYS_exit, {});  // not for one that was killed: it stands at its exit
  if (!env_.os.ptrace(PTRACE_CONT, tid_, 0, 0)) return;
  for (int tries = 0; tries < kYields + kNaps; ++tries) {
    const Result<Waited> waited = env_.os.wait(tid_, false);
    if (!waited) return;
    if (waited->tid == 0) {
      tries < kYields ? static_cast<void>(::sched_yield()) : static_cast<void>(::nanosleep(&kNap, nullptr));
      continue;
    }
    if (decode(*waited).kind == StopEvent::Kind::kDead) return;
    (void)env_.os.ptrace(PTRACE_CONT, tid_, 0, 0);
  }
}

Result<u64> TracedTask::map_file(int fd, std::span<const FilePiece> pieces) {
  TracedTask helper(env_, TRY(make_helper()), process_);
  helper.makes_helper_ = true;  // nobody else knows it: its statuses are waited for here
  const Result<Waited> first = helper.next_status();
  if (!first) return fail(ESRCH);
  note_stop(helper, decode(*first));
  Result<u64> address = fail(EINVAL);
  if (const Result<int> there = helper.install_fd(fd, true); there) {
    Result<u64> mapped = 0;
    for (size_t i = 0; i < pieces.size() && mapped; ++i) {
      const FilePiece& piece = pieces[i];
      mapped = helper.call(
          SYS_mmap, {piece.address, piece.size, piece.prot, piece.flags, static_cast<u64>(*there), piece.offset});
      if (i == 0 || !mapped) address = mapped;
    }
  } else {
    address = fail(there.error().value);
  }
  if (helper.at() != At::kRunning) helper.end_helper();
  return address;
}

}  // namespace bpfemu
