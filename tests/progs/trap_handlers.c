// SPDX-License-Identifier: Apache-2.0
// Hard case 15: the program's own traps, faults and forced signals are its own.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "check.h"

static volatile sig_atomic_t traps, faults, sys_calls;
static sigjmp_buf back;
static volatile int* volatile nowhere = (int*)8;

static void on_trap(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  traps += info->si_code > 0 ? 1 : 100;
}
static void on_fault(int signal) {
  (void)signal;
  ++faults;
  siglongjmp(back, 1);
}
static void on_sys(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  if (info->si_syscall == SYS_getppid && info->si_errno == 77) ++sys_calls;
}

static int die_of_trap(void (*prepare)(void)) {
  const pid_t child = fork();
  if (child == 0) {
    prepare();
    __asm__ volatile("int3");
    _exit(0);
  }
  return ended(child);
}
static void blocked(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTRAP);
  sigprocmask(SIG_BLOCK, &set, NULL);
}
static void ignored(void) {
  signal(SIGTRAP, SIG_IGN);
}
static void defaulted(void) {
  signal(SIGTRAP, SIG_DFL);
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  for (int i = 0; i < 3; ++i) __asm__ volatile("int3");
  raise(SIGTRAP);
  printf("traps %d\n", traps);
  printf("blocked %d, ignored %d, default %d\n", die_of_trap(blocked), die_of_trap(ignored), die_of_trap(defaulted));

  signal(SIGSEGV, on_fault);
  signal(SIGILL, on_fault);
  if (!sigsetjmp(back, 1)) *nowhere = 1;
  if (!sigsetjmp(back, 1)) __asm__ volatile("ud2");
  printf("faults %d\n", faults);

  struct sigaction sys = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO}, old;
  sigaction(SIGSYS, &sys, NULL);
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | 77),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
  for (int i = 0; i < 3; ++i) syscall(SYS_getppid);
  sigaction(SIGSYS, NULL, &old);
  printf("own SIGSYS %d, handler %s\n", sys_calls, old.sa_sigaction == on_sys ? "kept" : "lost");
}
