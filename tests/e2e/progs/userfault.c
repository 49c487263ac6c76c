// SPDX-License-Identifier: Apache-2.0
// userfault [never]: hands memory to bpf() whose pages a thread of its own fills in, which makes a call that stops for
// the tracer before each; a bystander makes calls meanwhile. `never`: nobody fills them in, and only whoever asked waits.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "waiting_memory.h"

static int faults;

static void* fill_in(void* unused) {
  static char page[4096];
  memset(page, 7, sizeof page);
  struct uffd_msg message;
  while (read(faults, &message, sizeof message) == sizeof message) {
    struct stat file;
    stat("/etc/passwd", &file);
    struct uffdio_copy copy = {.dst = message.arg.pagefault.address & ~4095ULL, .src = (uintptr_t)page, .len = 4096};
    ioctl(faults, UFFDIO_COPY, &copy);
  }
  return unused;
}

int main(int argc, char** argv) {
  const int never = argc > 1 && strcmp(argv[1], "never") == 0;
  faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  if (faults < 0) return printf("no userfaultfd: %s\n", strerror(errno)), 3;
  struct uffdio_api api = {.api = UFFD_API};
  char* const memory = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {(uintptr_t)memory, 2 * 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &range)) return 2;
  const pid_t other = fork();
  if (other == 0) bystander();
  pthread_t filler;
  if (!never && pthread_create(&filler, NULL, fill_in, NULL)) return 2;
  if (!never) printf("map: %#x\n", through_map(memory));
  if (!never) printf("another page: %#x\n", through_map(memory + 4096));
  fflush(stdout);
  if (never) through_map(memory);
  waitpid(other, NULL, 0);
  return 0;
}
