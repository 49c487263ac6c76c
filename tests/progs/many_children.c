// SPDX-License-Identifier: Apache-2.0
// Hard cases 18, 21 and 24: children whose first stop overtakes their creation's, a thousand threads, and calls made
// with all signals blocked (posix_spawn).
#include <spawn.h>

#include "check.h"

static atomic_int ran;

static void* touch(void* unused) {
  close(open("/dev/null", O_RDONLY));
  ++ran;
  return unused;
}

int main(int argc, char** argv) {
  if (argc > 1) return 6;
  int bad = 0;
  for (int i = 0; i < 300; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(i & 0x7f);
    if (ended(child) != (i & 0x7f)) ++bad;
  }
  CHECK(bad == 0);

  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  static pthread_t threads[1000];
  int made = 0;
  for (int i = 0; i < 1000; ++i) made += pthread_create(&threads[i], &small, touch, NULL) == 0;
  for (int i = 0; i < made; ++i) pthread_join(threads[i], NULL);
  printf("%s\n", ran == made && made == 1000 ? "all threads ran" : "threads are missing");

  char again[] = "again";
  char* words[] = {argv[0], again, NULL};
  for (int i = 0; i < 30; ++i) {
    pid_t child;
    if (posix_spawn(&child, argv[0], NULL, NULL, words, NULL) != 0 || ended(child) != 6) ++bad;
  }
  CHECK(bad == 0);
  printf("done\n");
}
