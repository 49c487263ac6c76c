// SPDX-License-Identifier: Apache-2.0
// Hard cases 12 and 13: int 0x80, x32, vsyscall page and vDSO.
#include "check.h"

static long int80(long number) {
  long r;
  __asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
  return r;
}

int main(void) {
  const long kGetpid32 = 20, kX32 = 0x40000000;
  const long pid = int80(kGetpid32);
  printf("int 0x80 getpid: %s\n", pid == getpid() ? "right" : pid == -ENOSYS ? "right" : "wrong");
  const long x32 = syscall(kX32 | SYS_bpf, 0, 0, 0);
  printf("x32 bpf: %ld %s\n", x32, errno == ENOSYS ? "ENOSYS" : "?");
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[512];
  int mapped = 0;
  while (fgets(line, sizeof line, maps)) mapped |= strstr(line, "[vsyscall]") != NULL;
  fclose(maps);
  if (mapped) {
    const pid_t child = fork();
    if (child == 0) {
      time_t (*vsyscall_time)(time_t*) = (time_t(*)(time_t*))0xffffffffff600400;
      const time_t a = time(NULL), b = vsyscall_time(NULL);
      _exit(b - a <= 1 ? 3 : 1);
    }
    const int status = ended(child);
    printf("vsyscall: %s\n", status == 3 || status == -SIGSEGV ? "right" : "wrong");
  }
  struct timespec a, b;
  clock_gettime(CLOCK_REALTIME, &a);
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &b);
  printf("vDSO: %s\n", b.tv_sec - a.tv_sec <= 1 ? "right" : "wrong");
}
