// SPDX-License-Identifier: Apache-2.0
// Runs a command under a seccomp filter that denies what Docker's default profile denies: EPERM, and ENOSYS for clone3.
// -p: and ptrace, as older container runtimes do.
// usage: outer_filter [-p] COMMAND [ARGS...]
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "check.h"

#define DENY(number, error) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

int main(int argc, char** argv) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      DENY(bpf, EPERM),
      DENY(perf_event_open, EPERM),
      DENY(mount, EPERM),
      DENY(unshare, EPERM),
      DENY(setns, EPERM),
      DENY(pidfd_getfd, EPERM),
      DENY(kcmp, EPERM),
      DENY(clone3, ENOSYS),
      DENY(ptrace, EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof code / sizeof code[0], code};
  const int no_ptrace = argc > 1 && strcmp(argv[1], "-p") == 0;
  argc -= no_ptrace, argv += no_ptrace;
  if (!no_ptrace) {
    // Without it: the comparison finds nothing.
    struct sock_filter* comparison = &code[sizeof code / sizeof code[0] - 3];
    comparison->k = ~0U;
  }
  if (argc < 2) return 2;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 2;
  execvp(argv[1], argv + 1);
  return 127;
}
