// SPDX-License-Identifier: Apache-2.0
// Preloaded into a tool: appends a line to the file $BPF_LOADS for each program that it loads, and lets it believe that
// whatever it attaches is attached, so that it loads all of its programs.
//   RESULT TYPE INSNS NAME       RESULT is 0 or an errno
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static void note(const union bpf_attr *attr, int error) {
  char line[160];
  char name[BPF_OBJ_NAME_LEN + 1] = "";
  const char *file = getenv("BPF_LOADS");
  int fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
  if (fd < 0) return;
  memcpy(name, attr->prog_name, BPF_OBJ_NAME_LEN);
  int length = snprintf(line, sizeof line, "%d %u %u %s\n", error, attr->prog_type, attr->insn_cnt, name);
  if (write(fd, line, length) != length) perror(file);
  close(fd);
}

static int attaches(long number, long command) {
  return number == SYS_perf_event_open ||
         (number == SYS_bpf && (command == BPF_RAW_TRACEPOINT_OPEN || command == BPF_LINK_CREATE));
}

long syscall(long number, ...) {
  static long (*real)(long, ...);
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  long result = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  int error = result < 0 ? errno : 0;
  if (number == SYS_bpf && a[0] == BPF_PROG_LOAD) note((const union bpf_attr *)a[1], error);
  // Bad descriptors are how tools ask what the kernel has: they keep their answer.
  if (error && attaches(number, a[0]) && error != EBADF) return eventfd(0, EFD_CLOEXEC);
  errno = error;
  return result;
}

int ioctl(int fd, unsigned long request, ...) {
  static int (*real)(int, unsigned long, ...);
  va_list list;
  va_start(list, request);
  long argument = va_arg(list, long);
  va_end(list);
  if (!real) real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
  int result = real(fd, request, argument);
  if (result < 0 && (request == PERF_EVENT_IOC_SET_BPF || request == PERF_EVENT_IOC_ENABLE)) return 0;
  return result;
}
