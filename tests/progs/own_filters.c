// SPDX-License-Identifier: Apache-2.0
// Hard case 14: seccomp filters of the program's own. They allow and forbid what they say, and what they would kill
// for does not happen behind the program's back.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "probe.h"

#define ALLOW(number) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define GIVE(number, action) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

// No mmap, no seccomp, no getpid: all that a debugger might want to do here is death.
static struct sock_filter strict[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(read),
    ALLOW(write),
    ALLOW(close),
    ALLOW(openat),
    ALLOW(getppid),
    ALLOW(exit_group),
    ALLOW(clock_nanosleep),
    ALLOW(restart_syscall),
    GIVE(getpgid, SECCOMP_RET_TRACE | 5),
    GIVE(getsid, SECCOMP_RET_ERRNO | EXDEV),
    GIVE(getuid, SECCOMP_RET_USER_NOTIF),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static const struct sock_fprog program = {sizeof strict / sizeof strict[0], strict};

__attribute__((noipa, noinline)) static int probed(volatile int n) {
  n += 3;  // not an instruction that is emulated
  return n;
}

static void install(int how) {
  const long r = how == 0   ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
                 : how == 1 ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                            : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (r != 0) _exit(1);
}

// 7: all as it should be.
static int live_under_filter(void) {
  int bad = 0;
  const int parent = syscall(SYS_getppid);
  for (int i = 0; i < 300; ++i) {
    const int fd = openat(AT_FDCWD, "/dev/null", O_RDONLY);
    bad += fd < 0 || syscall(SYS_getppid) != parent || probed(i) != i + 3;
    bad += close(fd) != 0;
    if (i % 10 == 0) sleep_ms(1);
  }
  bad += syscall(SYS_getpgid, 0) != -1 || errno != ENOSYS;
  bad += syscall(SYS_getsid, 0) != -1 || errno != EXDEV;
  bad += syscall(SYS_getuid) != -1 || errno != ENOSYS;
  return bad == 0 ? 7 : 1;
}

static atomic_int idling;

static void* idle(void* unused) {
  ++idling;
  for (;;) sleep_ms(1);
  return unused;
}

int main(void) {
  static const char* const names[] = {"prctl", "seccomp", "seccomp with TSYNC"};
  // The second process meets the probe while its filter is there already, those after it have it before.
  long calls = 0;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  struct counter probe = {-1, -1};
  for (int round = 0; round < 6; ++round) {
    int gate[2];
    CHECK(pipe(gate) == 0);
    const pid_t child = fork();
    if (child == 0) {
      pthread_t thread;
      if (round % 3 == 2) {
        pthread_create(&thread, NULL, idle, NULL);
        while (!idling) sleep_ms(1);
      }
      install(round % 3);
      char byte;
      if (read(gate[0], &byte, 1) != 1) _exit(1);
      _exit(live_under_filter());
    }
    sleep_ms(30);
    if (round == 1) probe = probe_function(kEveryone, (void*)probed, 0);
    CHECK(write(gate[1], "xx", 2) == 2);
    if (round > 0) calls += 300;
    printf("%s: %d\n", names[round % 3], ended(child));
    close(gate[0]), close(gate[1]);
  }
  printf("hits %ld\n", counted(probe, calls));

  // What it kills for, it kills for.
  const pid_t child = fork();
  if (child == 0) {
    install(0);
    syscall(SYS_getpid);
    _exit(0);
  }
  CHECK(ended(child) == -SIGSYS);
  // The kernel's errors stay.
  struct sock_fprog wrong = {0, strict};
  CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &wrong) == -1 && errno == EINVAL);
  wrong.len = 5000;
  CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &wrong) == -1 && errno == EINVAL);
  wrong = (struct sock_fprog){3, (struct sock_filter*)8};
  CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &wrong) == -1 && errno == EFAULT);
  wrong = (struct sock_fprog){1, strict};
  CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &wrong) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 16) == -1 && errno == EFAULT);
  CHECK(wrong.len == 1 && wrong.filter == strict);
  printf("done\n");
}
