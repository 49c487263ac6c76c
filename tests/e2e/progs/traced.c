// SPDX-License-Identifier: Apache-2.0
// What tests/e2e/tracefs traces: a function with arguments of all kinds, and two openat.
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct things {
  int number;
  char name[16];
  const char* pointer;
  unsigned short values[4];
  unsigned bits;
};

__attribute__((noinline)) long probed(int number, struct things* things, const char* text) {
  __asm__ volatile("" ::: "memory");
  return number + things->number + text[0];
}

int main(void) {
  struct things things = {7, "inside", "pointed", {1, 2, 0xfffe, 4}, 0xabcd1234};
  printf("%ld\n", probed(-5, &things, "text arg"));
  fflush(stdout);
  syscall(SYS_openat, -100, "/etc/hostname", O_RDONLY, 0);
  syscall(SYS_openat, -100, "/nonexistent", O_RDONLY, 0);
  return 0;
}
