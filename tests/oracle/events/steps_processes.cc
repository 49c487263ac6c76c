// SPDX-License-Identifier: Apache-2.0
// Processes, threads and what they are called.
#include "tests/oracle/events/steps.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

namespace events {
namespace {

// fork() itself, without what libraries do around it.
pid_t fork_plainly() { return static_cast<pid_t>(call(SYS_fork)); }

[[noreturn]] void leave(int status) {
  call(SYS_exit_group, status);
  __builtin_unreachable();
}

void wait_for(pid_t child) {
  int status;
  call(SYS_wait4, child, &status, 0, 0L);
}

void forks() {
  for (const int status : {0, 3, 255}) {
    const pid_t child = fork_plainly();
    if (child == 0) leave(status);
    wait_for(child);
  }
  wait_for(-1);
}

void clones() {
  const pid_t child = static_cast<pid_t>(call(SYS_clone, SIGCHLD | CLONE_FS, 0L, 0L, 0L, 0L));
  if (child == 0) leave(1);
  siginfo_t info;
  call(SYS_waitid, P_PID, child, &info, WEXITED, 0L);
  call(SYS_clone, CLONE_THREAD, 0L, 0L, 0L, 0L);
}

void vforks() {
  const pid_t child = vfork();
  if (child == 0) leave(4);
  wait_for(child);
}

// The file that runs is this one, under another name.
void execs() {
  call(SYS_symlink, "/proc/self/exe", "program");
  const char* const arguments[] = {"program", "child", "leave", "5", nullptr};
  const char* const environment[] = {"WHO=events", nullptr};
  const pid_t child = fork_plainly();
  if (child == 0) {
    // On the stack, which a child has from the beginning: programs read only what is in memory.
    const char missing[] = "missing", other[] = "./program";
    call(SYS_execve, missing, arguments, environment);
    call(SYS_execve, other, arguments, environment);
    leave(1);
  }
  wait_for(child);
  call(SYS_unlink, "program");
}

void failed_execs() {
  const char* const none[] = {nullptr};
  call(SYS_execve, "missing", none, none);
  call(SYS_execve, ".", none, none);
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "text", O_WRONLY | O_CREAT, 0600));
  call(SYS_close, fd);
  call(SYS_execve, "text", none, none);
  call(SYS_chmod, "text", 0700);
  call(SYS_execve, "text", none, none);
  call(SYS_unlink, "text");
}

alignas(16) char stack[2][16384];
volatile int thread_lives;

int thread_body(void* name) {
  call(SYS_prctl, PR_SET_NAME, name, 0, 0, 0);
  call(SYS_gettid);
  return 0;
}

// One after the other: each has ended, cleared its word, before the next begins.
void threads() {
  static const char* const kNames[] = {"first thread", "second thread"};
  for (int i = 0; i < 2; ++i) {
    thread_lives = 1;
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    int id = 0;
    need(clone(thread_body, stack[i] + sizeof stack[i], flags, const_cast<char*>(kNames[i]), &id, nullptr,
               const_cast<int*>(&thread_lives)) > 0, "a thread");
    while (thread_lives) {}
    pause_shortly();
  }
}

void names() {
  char name[16];
  call(SYS_prctl, PR_SET_NAME, "short", 0, 0, 0);
  call(SYS_prctl, PR_SET_NAME, "longer than sixteen", 0, 0, 0);
  call(SYS_prctl, PR_GET_NAME, name, 0, 0, 0);
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "/proc/self/comm", O_WRONLY, 0));
  call(SYS_write, fd, "by file", 7);
  call(SYS_close, fd);
  call(SYS_prctl, PR_SET_NAME, "workload", 0, 0, 0);
  call(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
  call(SYS_prctl, 9999, 1, 2, 3, 4);
}

void ids() {
  call(SYS_getpid);
  call(SYS_getuid);
  call(SYS_setuid, 0);
  call(SYS_setgid, 0);
  call(SYS_setresuid, 0, 0, -1);
  call(SYS_setpgid, 0, 0);
  call(SYS_getpgid, 0);
  call(SYS_setpriority, PRIO_PROCESS, 0, 1);
  call(SYS_getpriority, PRIO_PROCESS, 0);
  rlimit limit;
  call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0L, &limit);
  call(SYS_sched_yield);
}

constexpr Step kSteps[] = {
    {"forks", forks}, {"clones", clones}, {"vforks", vforks}, {"execs", execs}, {"failed execs", failed_execs},
    {"threads", threads}, {"names", names}, {"ids", ids},
};

}  // namespace

int run_as_program(int argc, char** argv) {
  if (argc > 3 && strcmp(argv[2], "leave") == 0) leave(atoi(argv[3]));
  if (argc > 3 && strcmp(argv[2], "getppid") == 0) {
    for (int i = atoi(argv[3]); i > 0; --i) call(SYS_getppid);
    return 0;
  }
  return 1;
}

std::span<const Step> process_steps() { return kSteps; }

}  // namespace events
