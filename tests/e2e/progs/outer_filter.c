// SPDX-License-Identifier: Apache-2.0
// Runs a command under a seccomp filter that answers as Docker's default profile does: EPERM for what it denies, ENOSYS
// for clone3. usage: outer_filter COMMAND [ARGS]
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static const int denied[] = {SCMP_SYS(bpf),   SCMP_SYS(perf_event_open), SCMP_SYS(mount), SCMP_SYS(unshare),
                               SCMP_SYS(setns), SCMP_SYS(pidfd_getfd),     SCMP_SYS(kcmp)};
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (argc < 2 || !filter) return 125;
  for (unsigned i = 0; i < sizeof denied / sizeof *denied; i++)
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0)) return 125;
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) || seccomp_load(filter)) return 125;
  execvp(argv[1], argv + 1);
  perror(argv[1]);
  return 127;
}
