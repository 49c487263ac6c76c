// SPDX-License-Identifier: Apache-2.0
// Hard case 3: SIGKILL at any instruction, also while a call of the thread is being answered. Nobody else suffers.
#include "check.h"

static void* work(void* unused) {
  for (;;) {
    close(open("/dev/null", O_RDONLY));
    const pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
  }
  return unused;
}

int main(void) {
  srand(1);
  const pid_t survivor = fork();
  if (survivor == 0) {
    for (int i = 0; i < 2000; ++i) close(open("/dev/null", O_RDONLY));
    _exit(5);
  }
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      pthread_t thread;
      for (int t = 0; t < i % 3; ++t) pthread_create(&thread, NULL, work, NULL);
      work(NULL);
    }
    usleep(rand() % 4000);
    kill(child, SIGKILL);
    CHECK(ended(child) == -SIGKILL);
  }
  CHECK(ended(survivor) == 5);
  printf("done\n");
}
