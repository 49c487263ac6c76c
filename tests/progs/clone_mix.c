// SPDX-License-Identifier: Apache-2.0
// Hard cases 5 and 6: address space, descriptors and thread group shared in odd combinations; CLONE_UNTRACED, whose
// child must not escape (its open would fail); clone3's flags read back as they were.
#include <linux/sched.h>

#include "check.h"

static volatile int shared;
static int opened = -1;

static int child_main(void* unused) {
  (void)unused;
  opened = open("/dev/null", O_RDONLY);
  shared = opened >= 0 ? 1 : -1;
  return 4;
}

static int run(int flags) {
  char* stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  shared = 0;
  opened = -1;
  const pid_t child = clone(child_main, stack + 65536, flags | SIGCHLD, NULL);
  const int status = ended(child);
  munmap(stack, 65536);
  return status;
}

int main(void) {
  CHECK(run(CLONE_VM) == 4 && shared == 1 && fcntl(opened, F_GETFD) == -1);
  CHECK(run(CLONE_VM | CLONE_FILES) == 4 && shared == 1 && fcntl(opened, F_GETFD) != -1);
  close(opened);
  CHECK(run(CLONE_FILES) == 4 && shared == 0);
  CHECK(run(CLONE_VM | CLONE_SIGHAND) == 4 && shared == 1);
  CHECK(run(CLONE_VM | CLONE_UNTRACED) == 4 && shared == 1);
  CHECK(run(CLONE_VM | CLONE_VFORK | CLONE_UNTRACED) == 4 && shared == 1);

  struct clone_args args = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
  const pid_t child = syscall(SYS_clone3, &args, sizeof args);
  if (child == 0) {
    const int fd = open("/dev/null", O_RDONLY);
    _exit(fd >= 0 && args.flags == CLONE_UNTRACED ? 6 : 1);
  }
  CHECK(args.flags == CLONE_UNTRACED);
  CHECK(ended(child) == 6);
  printf("done\n");
}
