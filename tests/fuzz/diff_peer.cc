// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/diff_peer.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bpfemu::fuzz {

namespace {

constexpr int kShared = CLONE_VM | SIGCHLD;

struct Work {
  void (*work)(void*);
  void* argument;
};

int run_work(void* pointer) {
  const Work* work = static_cast<const Work*>(pointer);
  work->work(work->argument);
  _exit(0);
}

void move_to(int from, int to) {
  dup2(from, to);
  close(from);
}

}  // namespace

int Child::run(void (*work)(void*), void* argument) {
  Work what{work, argument};
  const int pid = clone(run_work, stack_ + sizeof stack_, kShared | CLONE_VFORK, &what);
  int status = -1;
  if (pid > 0) waitpid(pid, &status, 0);
  return status;
}

// From first_own_ on: where the peer reads and the other writes, and the same of the way back.
void Peer::begin() {
  int there[2], back[2];
  if (pipe(there) || pipe(back)) return;
  move_to(there[0], first_own_);
  move_to(there[1], first_own_ + 1);
  move_to(back[0], first_own_ + 2);
  move_to(back[1], first_own_ + 3);
  pid_ = clone(serve, stack_ + sizeof stack_, kShared, this);
  close(first_own_);
  close(first_own_ + 3);
}

int Peer::serve(void* pointer) {
  Peer* self = static_cast<Peer*>(pointer);
  close(self->first_own_ + 1);
  close(self->first_own_ + 2);
  syscall(SYS_close_range, 3, self->first_fixed_ - 1, 0);
  for (char turn; read(self->first_own_, &turn, 1) == 1;) {
    self->work_(self->argument_);
    if (write(self->first_own_ + 3, &turn, 1) != 1) break;
  }
  _exit(0);
}

void Peer::run(void (*work)(void*), void* argument) {
  if (!lives()) begin();
  work_ = work;
  argument_ = argument;
  char turn = 0;
  if (write(first_own_ + 1, &turn, 1) != 1 || read(first_own_ + 2, &turn, 1) != 1) _exit(1);
}

void Peer::end() {
  if (!lives()) return;
  close(first_own_ + 1);
  waitpid(pid_, nullptr, 0);
  close(first_own_ + 2);
  pid_ = 0;
}

}  // namespace bpfemu::fuzz
