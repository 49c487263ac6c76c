// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "light.lskel.h"

int main(void) {
  struct light* skel = light__open_and_load();
  if (!skel) return 1;
  if (light__attach(skel)) return 2;
  skel->bss->tool = getpid();
  for (int i = 0; i < 3; ++i) syscall(SYS_getppid);
  const int calls = skel->bss->calls;
  printf("calls: %d, members: %d %d, size %d\n", calls, skel->bss->has_comm, skel->bss->has_none, skel->bss->comm_size);
  light__destroy(skel);
}
