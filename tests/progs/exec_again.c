// SPDX-License-Identifier: Apache-2.0
// Programs that are executed again and again may decide calls from their first instruction on. What they begin with, what
// they hold, what stops or ends them there, and how little memory they may have is as it always was.
#include <dirent.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "check.h"

enum { kRounds = 40, kKilled = 200 };

// Descriptors above the standard ones, but for the one that looks.
static int descriptors(void) {
  DIR* const folder = opendir("/proc/self/fd");
  int count = 0;
  for (struct dirent* entry; (entry = readdir(folder)) != NULL;)
    count += entry->d_name[0] != '.' && atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(folder);
  closedir(folder);
  return count;
}

static int as_child(const char* what) {
  struct stat st;
  if (!strcmp(what, "looks")) {
    if (descriptors() != 0 || getauxval(AT_BASE) == 0) return 2;
    if (stat("/nowhere/at/all", &st) == 0 || errno != ENOENT) return 3;
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const char* const bytes = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED || memcmp(bytes, "\177ELF", 4) != 0) return 4;
    if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0) != MAP_FAILED || errno != EBADF) return 5;
    const pid_t pid = fork();
    if (pid == 0) _exit(stat("/", &st) == 0 ? 7 : 8);
    return ended(pid) == 7 ? 0 : 6;
  }
  return 0;
}

static pid_t start(const char* what, rlim_t data) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const struct rlimit limit = {data, data};
  if (data != RLIM_INFINITY) dup2(open("/dev/null", O_WRONLY), 2), close(3), setrlimit(RLIMIT_DATA, &limit);
  execl("/proc/self/exe", "exec_again", what, NULL);
  _exit(99);
}

int main(int argc, char** argv) {
  if (argc > 1) return as_child(argv[1]);
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int fd = 3; fd < 1024; ++fd) close(fd);
  for (int i = 0; i < kRounds; ++i) CHECK(ended(start("looks", RLIM_INFINITY)) == 0);
  // Stopped and continued, or killed, wherever it is.
  int strange = 0;
  for (int i = 0; i < kKilled; ++i) {
    const pid_t pid = start("ends", RLIM_INFINITY);
    usleep(i * 61 % 2500);
    kill(pid, SIGSTOP);
    sched_yield();
    kill(pid, SIGCONT);
    strange += ended(pid) != 0;
  }
  for (int i = 0; i < kKilled; ++i) {
    const pid_t pid = start("ends", RLIM_INFINITY);
    usleep(i * 61 % 2500);
    kill(pid, SIGKILL);
    const int end = ended(pid);
    strange += end != 0 && end != -SIGKILL;
  }
  CHECK(strange == 0);
  // Where there is too little for what is done for it, it does without.
  for (rlim_t data = 16 << 10; data <= 512 << 10; data += 8 << 10)
    printf("%lu KiB of data: %d\n", (unsigned long)data >> 10, ended(start("ends", data)));
}
