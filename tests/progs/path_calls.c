// SPDX-License-Identifier: Apache-2.0
// Calls with a path that are repeated so often that a process decides them by itself: what they find does not depend on
// that, nor do signals, threads, forks and wrong pointers that come in between.
#include "check.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <ucontext.h>

enum { kOften = 200 };

static char top[64], text[512];

static const char* at(const char* name) {
  static char path[2][128];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", top, name);
  return path[turn];
}

static void put(const char* path, const char* content) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
  close(fd);
}

static const char* content_of(int fd) {
  const ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  text[size > 0 ? size : 0] = 0;
  if (fd >= 0) close(fd);
  return text;
}

static int lstat_at(int folder, const char* name) {
  struct stat st;
  return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int is_version(int fd) {
  struct utsname name;
  uname(&name);
  return strstr(content_of(fd), name.release) != NULL;
}

static void names_in_folders(void) {
  CHECK(chdir(top) == 0);
  put("file", "here");
  for (int i = 0; i < kOften; i++) {
    CHECK(lstat_at(AT_FDCWD, "file") == 0);
    CHECK(lstat_at(AT_FDCWD, "none") == -ENOENT);
    CHECK(strcmp(content_of(openat(AT_FDCWD, "file", O_RDONLY | O_NOFOLLOW)), "here") == 0);
  }
  // The same calls, and now the name is another's.
  CHECK(chdir("/proc") == 0);
  for (int i = 0; i < 20; i++) {
    CHECK(lstat_at(AT_FDCWD, "version") == 0);
    CHECK(is_version(openat(AT_FDCWD, "version", O_RDONLY | O_NOFOLLOW)));
  }
  CHECK(chdir("/proc/self") == 0);
  CHECK(content_of(openat(AT_FDCWD, "comm", O_RDONLY | O_NOFOLLOW))[0] == 'p');
  CHECK(chdir("/") == 0);
  CHECK(lstat_at(AT_FDCWD, "proc") == 0);
  const int proc = openat(AT_FDCWD, "proc", O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
  CHECK(is_version(openat(proc, "version", O_RDONLY | O_NOFOLLOW)));
  const int copy = dup(proc);
  close(proc);
  CHECK(is_version(openat(copy, "version", O_RDONLY | O_NOFOLLOW)));
  CHECK(fchdir(copy) == 0);
  close(copy);
  CHECK(is_version(openat(AT_FDCWD, "version", O_RDONLY | O_NOFOLLOW)));
  CHECK(chdir(top) == 0);
  for (int i = 0; i < kOften; i++) CHECK(lstat_at(AT_FDCWD, "file") == 0);
  puts("names in folders");
}

// A folder of the real /proc that is none of the kernel model's, and a link that leads there.
static void folders_of_others(void) {
  CHECK(symlink("/proc/self/task", at("tasks")) == 0);
  for (int i = 0; i < 20; i++) {
    char name[32];
    snprintf(name, sizeof name, "%d", getpid());
    const int tasks = open(at("tasks"), O_RDONLY | O_DIRECTORY);
    CHECK(lstat_at(tasks, name) == 0);
    const int task = openat(tasks, name, O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
    CHECK(strstr(content_of(openat(task, "status", O_RDONLY | O_NOFOLLOW)), "path_calls"));
    close(task), close(tasks);
  }
  unlink(at("tasks"));
  puts("folders of others");
}

static void absolute_paths(void) {
  struct stat st;
  const char* const file = strdup(at("file"));
  const char* const link = strdup(at("link"));
  CHECK(symlink(file, link) == 0);
  for (int i = 0; i < kOften; i++) {
    CHECK(stat(file, &st) == 0 && st.st_size == 4);
    CHECK(stat(link, &st) == 0 && st.st_size == 4);
    CHECK(strcmp(content_of(open(link, O_RDONLY)), "here") == 0);
    CHECK(access(link, R_OK) == 0);
  }
  // It leads elsewhere from one call to the next.
  for (int i = 0; i < 20; i++) {
    CHECK(unlink(link) == 0 && symlink("/proc/version", link) == 0);
    CHECK(is_version(open(link, O_RDONLY)));
    CHECK(unlink(link) == 0);
    CHECK(stat(link, &st) == -1 && errno == ENOENT);
    CHECK(symlink(file, link) == 0);
    CHECK(strcmp(content_of(open(link, O_RDONLY)), "here") == 0);
  }
  // So does a folder on the way.
  const char* const deep = strdup(at("folder/version"));
  CHECK(mkdir(at("folder"), 0700) == 0);
  put(deep, "deep");
  sleep_ms(150);
  for (int i = 0; i < kOften; i++) CHECK(strcmp(content_of(open(deep, O_RDONLY)), "deep") == 0);
  CHECK(rename(at("folder"), at("moved")) == 0);
  CHECK(symlink("/proc", at("folder")) == 0);
  for (int i = 0; i < 20; i++) CHECK(is_version(open(deep, O_RDONLY)));
  CHECK(unlink(at("folder")) == 0 && unlink(at("moved/version")) == 0 && rmdir(at("moved")) == 0);
  CHECK(unlink(link) == 0);
  puts("absolute paths");
}

static void descriptors(void) {
  struct stat by_name, by_fd;
  for (int round = 0; round < 3; round++) {
    const int file = open(at("file"), O_RDONLY);
    for (int i = 0; i < kOften; i++) CHECK(fstatat(file, "", &by_fd, AT_EMPTY_PATH) == 0 && by_fd.st_size == 4);
    const int version = open("/proc/version", O_RDONLY);
    CHECK(stat("/proc/version", &by_name) == 0);
    for (int i = 0; i < 20; i++)
      CHECK(fstatat(version, "", &by_fd, AT_EMPTY_PATH) == 0 && by_fd.st_ino == by_name.st_ino);
    close(version), close(file);
  }
  puts("descriptors");
}

static void* stat_often(void* unused) {
  for (int i = 0; i < 2000; i++) CHECK(lstat_at(AT_FDCWD, i & 1 ? "file" : "none") == (i & 1 ? 0 : -ENOENT));
  return unused;
}

static void threads(void) {
  // Nothing is patched yet in a child that executes this program anew; here the sites are.
  pthread_t all[8];
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&all[i], NULL, stat_often, NULL) == 0);
  for (int i = 0; i < 8; i++) pthread_join(all[i], NULL);
  puts("threads");
}

static volatile sig_atomic_t ticks, strayed;

// Everywhere the program may be is its own text, or that of a library.
static void on_tick(int signal, siginfo_t* info, void* context) {
  const uintptr_t rip = ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
  (void)signal, (void)info;
  ticks++;
  if (rip >> 32 >= 0x550f && rip >> 32 <= 0x5510) strayed++;
}

static void signals(void) {
  struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval often = {{0, 200}, {0, 200}};
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = 0; ticks < 300 || i < kOften; i++) {
    CHECK(lstat_at(AT_FDCWD, "file") == 0);
    CHECK(lstat_at(AT_FDCWD, "none") == -ENOENT);
  }
  setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
  printf("signals, %d in strange places\n", strayed);
}

static volatile sig_atomic_t faults;
static void on_fault(int signal) {
  (void)signal;
  faults++;
}

static void wrong_pointers(void) {
  struct stat st;
  struct sigaction action = {.sa_handler = on_fault}, now;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  char* const page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  memset(page, 'x', 4096);
  char* const wrong[] = {NULL, (char*)8, (char*)0xffff800000000000, (char*)0x8000000000000000, page + 4090, page + 4096};
  sigset_t all, before;
  sigfillset(&all);
  for (int blocked = 0; blocked < 2; blocked++) {
    if (blocked) sigprocmask(SIG_SETMASK, &all, &before);
    for (int round = 0; round < 3; round++)
      for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(syscall(SYS_newfstatat, AT_FDCWD, wrong[i], &st, AT_SYMLINK_NOFOLLOW) == -1 && errno == EFAULT);
        CHECK(lstat_at(AT_FDCWD, wrong[i]) == -EFAULT);
        CHECK(open(wrong[i], O_RDONLY) == -1 && errno == EFAULT);
      }
    if (blocked) sigprocmask(SIG_SETMASK, &before, &all);
    CHECK(sigismember(&all, SIGSEGV) && sigismember(&all, SIGBUS));
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == on_fault);
    CHECK(sigaction(SIGBUS, NULL, &now) == 0 && now.sa_handler == on_fault);
  }
  memcpy(page + 4091, "file", 5);
  CHECK(lstat_at(AT_FDCWD, page + 4091) == 0);
  CHECK(faults == 0);
  // Its own faults are its own.
  const pid_t child = fork();
  if (!child) {
    signal(SIGSEGV, SIG_DFL);
    char* volatile nowhere = (char*)8;
    *(volatile char*)nowhere = 0;
    _exit(0);
  }
  CHECK(ended(child) == -SIGSEGV);
  signal(SIGSEGV, SIG_DFL), signal(SIGBUS, SIG_DFL);
  puts("wrong pointers");
}

static void forks(void) {
  for (int i = 0; i < 20; i++) {
    const pid_t child = fork();
    if (!child) {
      int wrong = 0;
      for (int k = 0; k < kOften; k++) wrong += lstat_at(AT_FDCWD, "file") != 0;
      CHECK(chdir("/proc") == 0);
      wrong += !is_version(openat(AT_FDCWD, "version", O_RDONLY | O_NOFOLLOW));
      _exit(wrong != 0);
    }
    CHECK(lstat_at(AT_FDCWD, "file") == 0);
    CHECK(ended(child) == 0);
  }
  puts("forks");
}

static int report[2];

static void on_strange_fault(int signal) {
  (void)signal;
  (void)!write(report[1], "S", 1);
  _exit(1);
}

// Children of a process that is killed before anybody can be told of them.
static void orphans(void) {
  CHECK(pipe(report) == 0);
  signal(SIGSEGV, on_strange_fault);
  for (int i = 0; i < kOften; i++) CHECK(lstat_at(AT_FDCWD, "file") == 0);
  for (int round = 0; round < 60; round++) {
    const pid_t parent = fork();
    while (!parent) {
      if (fork()) continue;
      usleep(1000);
      const int good = lstat_at(AT_FDCWD, "file") == 0 && lstat_at(AT_FDCWD, (char*)8) == -EFAULT;
      _exit(write(report[1], good ? "g" : "B", 1) != 1);
    }
    usleep(500 + round % 10 * 300);
    kill(parent, SIGKILL);
    CHECK(ended(parent) == -SIGKILL);
  }
  signal(SIGSEGV, SIG_DFL);
  close(report[1]);
  char ends[256];
  int wrong = 0;
  for (ssize_t size; (size = read(report[0], ends, sizeof ends)) > 0;)
    for (ssize_t i = 0; i < size; i++) wrong += ends[i] != 'g';
  close(report[0]);
  printf("orphans, %d went wrong\n", wrong);
}

// A folder that comes by message, from a process that is gone by then.
static void messages(void) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  const pid_t child = fork();
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct iovec byte = {text, 1};
  struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (!child) {
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
    const int proc = open("/proc", O_RDONLY | O_DIRECTORY);
    memcpy(CMSG_DATA(header), &proc, sizeof proc);
    CHECK(sendmsg(pair[1], &message, 0) == 1);
    _exit(0);
  }
  // Nobody has the folder while the message waits.
  CHECK(ended(child) == 0);
  for (int i = 0; i < 5; i++) {
    CHECK(chdir(top) == 0);
    sleep_ms(60);
    for (int k = 0; k < kOften; k++) CHECK(lstat_at(AT_FDCWD, "file") == 0);
  }
  CHECK(recvmsg(pair[0], &message, 0) == 1);
  int proc = -1;
  memcpy(&proc, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof proc);
  for (int i = 0; i < 20; i++) CHECK(is_version(openat(proc, "version", O_RDONLY | O_NOFOLLOW)));
  close(proc), close(pair[0]), close(pair[1]);
  puts("messages");
}

int main(void) {
  snprintf(top, sizeof top, "/tmp/path_calls_XXXXXX");
  CHECK(mkdtemp(top) != NULL);
  names_in_folders();
  folders_of_others();
  absolute_paths();
  descriptors();
  threads();
  signals();
  wrong_pointers();
  forks();
  orphans();
  messages();
  CHECK(chdir("/") == 0);
  CHECK(unlink(at("file")) == 0 && rmdir(top) == 0);
}
