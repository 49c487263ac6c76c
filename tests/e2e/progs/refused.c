// SPDX-License-Identifier: Apache-2.0
// Asks for one thing that a traced program cannot have, and prints the errno.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

static long ask(const char* what) {
  struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const struct sock_fprog program = {1, allow};
  const int listener = strcmp(what, "listener") == 0;
  if (strcmp(what, "traceme") == 0) return ptrace(PTRACE_TRACEME, 0, 0, 0);
  if (strcmp(what, "attach-init") == 0) return ptrace(PTRACE_ATTACH, 1, 0, 0);
  if (strcmp(what, "strict-mode") == 0) return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
  if (listener) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  }
  const pid_t child = fork();
  if (child == 0) return pause();
  const long r = ptrace(strcmp(what, "seize") == 0 ? PTRACE_SEIZE : PTRACE_ATTACH, child, 0, 0);
  const int error = errno;
  kill(child, SIGKILL);
  errno = error;
  return r;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  puts(ask(argv[1]) < 0 ? strerrorname_np(errno) : "done");
  return 0;
}
