// SPDX-License-Identifier: Apache-2.0
// Calls that come to the functions which programs listen to in every way that they have: see ../kernel_stacks.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CALL(name, ...) syscall(SYS_##name, __VA_ARGS__)

static char bytes[4096];
static struct iovec vector = {bytes, 4};

static void names(int folder) {
  symlink("a", "s"), CALL(symlinkat, "b", folder, "s2");
  close(open("s", O_RDONLY));
  CALL(link, "a", "l"), CALL(linkat, folder, "b", folder, "l2", 0);
  CALL(rename, "l", "m"), CALL(renameat, folder, "l2", folder, "m2");
  CALL(renameat2, folder, "m", folder, "n", RENAME_NOREPLACE), CALL(renameat2, folder, "n", folder, "m2", RENAME_EXCHANGE);
  CALL(rename, "n", "m2");
  CALL(mkdir, "dd", 0755), CALL(mkdirat, folder, "de", 0755);
  CALL(rmdir, "dd"), CALL(unlinkat, folder, "de", AT_REMOVEDIR);
  CALL(mknod, "f", S_IFIFO | 0600, 0), CALL(mknodat, folder, "f2", S_IFIFO | 0600, 0);
  CALL(mknod, "r", S_IFREG | 0600, 0), CALL(mknodat, folder, "r2", S_IFREG | 0600, 0);
  CALL(unlink, "f"), CALL(unlinkat, folder, "f2", 0), CALL(unlink, "r"), CALL(unlink, "r2");
}

static void attributes(int folder, int file) {
  struct stat st;
  struct statx sx;
  CALL(stat, "a", &st), CALL(lstat, "s", &st), CALL(fstat, file, &st);
  CALL(newfstatat, folder, "a", &st, 0), CALL(newfstatat, file, "", &st, AT_EMPTY_PATH);
  CALL(statx, folder, "a", 0, STATX_ALL, &sx), CALL(statx, file, "", AT_EMPTY_PATH, STATX_ALL, &sx);
  CALL(readlink, "s", bytes, sizeof bytes), CALL(readlinkat, folder, "s2", bytes, sizeof bytes);
  CALL(truncate, "a", 100), CALL(ftruncate, file, 50);
  CALL(utime, "a", 0), CALL(utimes, "a", 0), CALL(futimesat, folder, "a", 0);
  CALL(utimensat, folder, "a", 0, 0), CALL(utimensat, file, 0, 0, 0);
  CALL(chmod, "a", 0600), CALL(fchmod, file, 0644), CALL(fchmodat, folder, "a", 0600);
  setxattr("a", "user.x", "1", 1, 0), lsetxattr("a", "user.x", "1", 1, 0), fsetxattr(file, "user.x", "2", 1, 0);
  getxattr("a", "user.x", bytes, 200), lgetxattr("a", "user.x", bytes, 200), fgetxattr(file, "user.x", bytes, 200);
  listxattr("a", bytes, 200), llistxattr("a", bytes, 200), flistxattr(file, bytes, 200);
  removexattr("a", "user.x"), lremovexattr("a", "user.x"), fremovexattr(file, "user.x");
}

static void transfer(int in, int out) {
  CALL(write, out, bytes, 3), CALL(writev, out, &vector, 1), CALL(pwritev2, out, &vector, 1, -1L, 0, 0);
  CALL(read, in, bytes, 3), CALL(readv, in, &vector, 1), CALL(preadv2, in, &vector, 1, -1L, 0, 0);
}

static void contents(int file, int other) {
  int pipes[2], sockets[2];
  if (pipe(pipes) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) exit(1);
  transfer(file, file), transfer(pipes[0], pipes[1]), transfer(sockets[0], sockets[1]);
  CALL(pread64, file, bytes, 4, 0), CALL(pwrite64, file, bytes, 4, 0);
  CALL(preadv, file, &vector, 1, 0, 0), CALL(pwritev, file, &vector, 1, 0, 0);
  CALL(preadv2, file, &vector, 1, 0, 0, 0), CALL(pwritev2, file, &vector, 1, 0, 0, 0);
  fallocate(file, 0, 0, 100), fsync(file), fdatasync(file);
  off_t in = 0, out = 0;
  copy_file_range(file, &in, other, &out, 5, 0);
  in = 0, sendfile(other, file, &in, 4);
  in = 0, splice(file, &in, pipes[1], NULL, 4, 0), splice(pipes[0], NULL, other, NULL, 4, 0);
  for (const char* const* name = (const char* const[]){"/dev/urandom", "/dev/null", "/proc/sys/kernel/ostype", NULL}; *name;
       ++name) {
    const int fd = open(*name, O_RDONLY);
    CALL(read, fd, bytes, 4), CALL(readv, fd, &vector, 1);
    close(fd);
  }
}

static void files(void) {
  mkdir("calls", 0755);
  const int folder = open("calls", O_RDONLY | O_DIRECTORY);
  if (fchdir(folder) != 0) exit(1);
  struct {
    unsigned long flags, mode, resolve;
  } how = {O_RDONLY, 0, 0};
  close((int)CALL(open, "a", O_CREAT | O_RDWR, 0644)), close((int)CALL(creat, "b", 0644));
  close((int)CALL(open, "a", O_TRUNC | O_WRONLY));
  close(openat(folder, "c", O_CREAT | O_EXCL | O_WRONLY, 0600)), close(openat(folder, "c", O_CREAT | O_WRONLY, 0600));
  close((int)CALL(openat2, folder, "a", &how, sizeof how));
  how.flags = O_CREAT | O_RDWR, how.mode = 0600;
  close((int)CALL(openat2, folder, "e", &how, sizeof how));
  close(open(".", O_TMPFILE | O_RDWR, 0600)), close(open("a", O_PATH));
  close(open("nope", O_RDONLY));
  names(folder);
  const int file = open("a", O_RDWR), other = open("b", O_RDWR);
  attributes(folder, file), contents(file, other);
  CALL(getdents64, folder, bytes, sizeof bytes);
  dup2(file, 100), dup3(file, 100, O_CLOEXEC), close(100);
  for (const char* const* name = (const char* const[]){"a", "b", "c", "e", "s", "s2", "m2", NULL}; *name; ++name) unlink(*name);
  if (chdir("..") != 0 || rmdir("calls") != 0) exit(1);
}

static void connection(const void* address, socklen_t size) {
  const int family = ((const struct sockaddr*)address)->sa_family, one = 1;
  const int listener = socket(family, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, address, size) != 0 || listen(listener, 5) != 0) exit(2);
  for (int n = 0; n < 2; ++n) {
    const int client = socket(family, SOCK_STREAM, 0);
    if (connect(client, address, size) != 0) exit(3);
    const int server = (int)(n ? CALL(accept4, listener, 0, 0, 0) : CALL(accept, listener, 0, 0));
    CALL(write, client, bytes, 3), CALL(read, server, bytes, 3);
    close(client), close(server);
  }
  close(listener);
  const int packets = socket(family, SOCK_DGRAM, 0);
  if (family != AF_UNIX) connect(packets, address, size);
  close(packets);
}

static void ends(pid_t child) {
  int status;
  waitpid(child, &status, 0);
}

static const struct {
  int signal;
  const char* how;
} kEnds[] = {{SIGTERM, "raise"}, {SIGSEGV, "null"}, {SIGILL, "ud2"}, {SIGABRT, "raise"}};

static void end_by(size_t n) {
  if (strcmp(kEnds[n].how, "null") == 0) *(volatile int*)NULL = 1;
  if (strcmp(kEnds[n].how, "ud2") == 0) __asm__ volatile("ud2");
  raise(kEnds[n].signal);
}

static void execute(void) {
  static char* const arguments[] = {"true", NULL};
  pid_t child;
  if ((child = fork()) == 0) execv("/bin/true", arguments), _exit(1);
  ends(child);
  if ((child = vfork()) == 0) execv("/bin/true", arguments), _exit(1);
  ends(child);
  if ((child = fork()) == 0) CALL(execveat, open("/bin/true", O_RDONLY), "", arguments, NULL, AT_EMPTY_PATH), _exit(1);
  ends(child);
  const int script = open("script", O_CREAT | O_WRONLY, 0755);
  dprintf(script, "#!/bin/true\n");
  close(script);
  if ((child = fork()) == 0) execv("./script", arguments), _exit(1);
  ends(child);
  unlink("script");
}

static void on_signal(int number) { (void)number; }

static void tasks(void) {
  pid_t child;
  if ((child = fork()) == 0) _exit(0);
  ends(child);
  if ((child = vfork()) == 0) _exit(0);
  ends(child);
  if ((child = (pid_t)syscall(SYS_fork)) == 0) CALL(exit, 2);
  ends(child);
  unsigned long arguments[8] = {[4] = SIGCHLD};
  if ((child = (pid_t)CALL(clone3, arguments, sizeof arguments)) == 0) _exit(0);
  ends(child);
  for (size_t n = 0; n < sizeof kEnds / sizeof *kEnds; ++n) {
    if ((child = fork()) == 0) end_by(n);
    ends(child);
  }
  execute();
  const pid_t self = getpid();
  signal(SIGUSR1, on_signal);
  siginfo_t info = {.si_code = -1};
  CALL(kill, self, SIGUSR1), CALL(tkill, self, SIGUSR1), CALL(tgkill, self, self, SIGUSR1);
  CALL(rt_sigqueueinfo, self, SIGUSR1, &info), CALL(rt_tgsigqueueinfo, self, self, SIGUSR1, &info);
  prctl(PR_SET_NAME, "stack_calls");
}

int main(void) {
  files();
  const struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4567), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(4567), .sin6_addr = in6addr_loopback};
  const struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "calls.socket"};
  connection(&in, sizeof in), connection(&in6, sizeof in6), connection(&un, sizeof un);
  unlink("calls.socket");
  tasks();
  return 0;
}
