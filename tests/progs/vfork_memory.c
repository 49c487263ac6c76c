// SPDX-License-Identifier: Apache-2.0
// Hard case 4: a vfork child runs in its parent's memory, and the parent waits.
#include "check.h"

int main(int argc, char** argv) {
  if (argc > 1) return 9;
  for (volatile int i = 0; i < 50; ++i) {
    volatile int shared = 0;
    const pid_t child = vfork();
    if (child == 0) {
      shared = 1;
      close(open("/dev/null", O_RDONLY));
      if (i % 2) _exit(3);
      execl(argv[0], argv[0], "again", NULL);
      _exit(1);
    }
    CHECK(shared == 1);
    CHECK(ended(child) == (i % 2 ? 3 : 9));
  }
  printf("done\n");
}
