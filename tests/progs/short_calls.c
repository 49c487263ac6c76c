// SPDX-License-Identifier: Apache-2.0
// Linked to a program, this makes its calls all in one place, as Go programs do: nothing before the system call there can
// be replaced, and behind the function is filling.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

long short_call(long number, long a, long b, long c, long d, long e, long f);
asm(".text\n"
    ".balign 16, 0xcc\n"
    "short_call:\n"
    "  mov %r9, %r11\n"
    "  mov 8(%rsp), %r9\n"
    "  mov %rdi, %rax\n"
    "  mov %r8, %r10\n"
    "  mov %r11, %r8\n"
    "  mov %rsi, %rdi\n"
    "  mov %rdx, %rsi\n"
    "  mov %rcx, %rdx\n"
    "  syscall\n"
    "  ret\n"
    "  .fill 8, 1, 0xcc\n"
    "  .balign 16, 0xcc\n");

static long result(long value) {
  if (value < 0 && value > -4096) {
    errno = (int)-value;
    return -1;
  }
  return value;
}
#define CALL(number, a, b, c, d) result(short_call(number, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0))

long syscall(long number, ...) {
  long words[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; ++i) words[i] = va_arg(list, long);
  va_end(list);
  return result(short_call(number, words[0], words[1], words[2], words[3], words[4], words[5]));
}

static int mode_of(int flags, va_list list) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
}
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = mode_of(flags, list);
  va_end(list);
  return (int)CALL(SYS_openat, AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = mode_of(flags, list);
  va_end(list);
  return (int)CALL(SYS_openat, folder, path, flags, mode);
}
int stat(const char* path, struct stat* to) { return (int)CALL(SYS_newfstatat, AT_FDCWD, path, to, 0); }
int lstat(const char* path, struct stat* to) { return (int)CALL(SYS_newfstatat, AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW); }
int fstat(int fd, struct stat* to) { return (int)CALL(SYS_newfstatat, fd, "", to, AT_EMPTY_PATH); }
int fstatat(int folder, const char* path, struct stat* to, int flags) {
  return (int)CALL(SYS_newfstatat, folder, path, to, flags);
}
int access(const char* path, int mode) { return (int)CALL(SYS_access, path, mode, 0, 0); }
int faccessat(int folder, const char* path, int mode, int flags) {
  return (int)CALL(SYS_faccessat2, folder, path, mode, flags);
}
ssize_t readlink(const char* path, char* to, size_t size) { return CALL(SYS_readlink, path, to, size, 0); }
ssize_t readlinkat(int folder, const char* path, char* to, size_t size) {
  return CALL(SYS_readlinkat, folder, path, to, size);
}
ssize_t read(int fd, void* to, size_t size) { return CALL(SYS_read, fd, to, size, 0); }
ssize_t write(int fd, const void* from, size_t size) { return CALL(SYS_write, fd, from, size, 0); }
int close(int fd) { return (int)CALL(SYS_close, fd, 0, 0, 0); }
int chdir(const char* path) { return (int)CALL(SYS_chdir, path, 0, 0, 0); }
int dup2(int from, int to) { return (int)CALL(SYS_dup2, from, to, 0, 0); }
int kill(pid_t pid, int signal) { return (int)CALL(SYS_kill, pid, signal, 0, 0); }
int pause(void) { return (int)CALL(SYS_pause, 0, 0, 0, 0); }
int poll(struct pollfd* files, nfds_t count, int timeout) { return (int)CALL(SYS_poll, files, count, timeout, 0); }
int nanosleep(const struct timespec* time, struct timespec* left) { return (int)CALL(SYS_nanosleep, time, left, 0, 0); }
pid_t waitpid(pid_t pid, int* status, int options) { return (pid_t)CALL(SYS_wait4, pid, status, options, 0); }
