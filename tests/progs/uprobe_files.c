// SPDX-License-Identifier: Apache-2.0
// Uprobes are in files, not in names: deleted and in-memory executables and libraries, relative paths, bind mounts in
// other mount namespaces, other roots; and reference counters in the data of those files.
#include "probe.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define OUT_OF_LINE __attribute__((noipa, noinline))

// Counters as USDT probes have them, in data that comes from the file.
__attribute__((section(".probes"), used)) volatile unsigned short semaphore = 0, other_semaphore = 0;

OUT_OF_LINE long probed(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 1;
}
OUT_OF_LINE long also_probed(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 2;
}

static char self[400];
static uint64_t offset, other_offset, counter, other_counter;

// As a child: calls the function so many times, exits with what the counter says.
static int serve(int calls) {
  for (int i = 0; i < calls; ++i) probed(i);
  return semaphore;
}

// Runs `program` (a path that the child sees) with `calls` calls.
static int execute(const char* program, const char* calls) {
  const pid_t child = fork();
  if (child == 0) {
    execl(program, "served", calls, (char*)NULL);
    _exit(99);
  }
  return ended(child);
}

static void copy_file(const char* from, int to) {
  char buffer[65536];
  const int file = open(from, O_RDONLY);
  for (ssize_t n; (n = read(file, buffer, sizeof buffer)) > 0;) CHECK(write(to, buffer, n) == n);
  close(file);
}

static void names(void) {
  char folder[] = "/tmp/uprobe_files.XXXXXX", path[64], link[64];
  CHECK(mkdtemp(folder) && chdir(folder) == 0);
  const int copy = open("copy", O_RDWR | O_CREAT | O_CLOEXEC, 0755);
  copy_file(self, copy);
  close(copy);
  struct counter probe = probe_file(kEveryone, "./copy", offset, 0), at_return = probe_file(kEveryone, "copy", offset, 1);
  CHECK(execute("./copy", "3") == 0);
  CHECK(symlink("copy", "link") == 0 && rename("copy", "renamed") == 0);
  CHECK(execute("./renamed", "4") == 0);
  printf("relative and renamed: %ld, returns %ld\n", counted(probe, 7), counted(at_return, 7));
  // A file that has no name any longer; the next of the same name is another.
  const int deleted = open("renamed", O_RDONLY | O_CLOEXEC);
  CHECK(unlink("renamed") == 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", deleted);
  CHECK(execute(path, "5") == 0);
  const int another = open("copy", O_RDWR | O_CREAT | O_CLOEXEC, 0755);
  copy_file(self, another);
  close(another);
  CHECK(execute("./copy", "6") == 0);
  struct counter late = probe_file(kEveryone, path, offset, 0);
  CHECK(execute(path, "7") == 0);
  printf("deleted: %ld, placed then %ld\n", counted(probe, 19), counted(late, 7));
  end_count(probe, 0), end_count(at_return, 0), end_count(late, 0);
  close(deleted);
  snprintf(link, sizeof link, "%s/link", folder);
  probe = probe_file(kEveryone, link, offset, 0);
  CHECK(execute("./copy", "2") == 0);
  printf("by a symbolic link: %ld\n", counted(probe, 2));
  end_count(probe, 0);
  CHECK(unlink("link") == 0 && unlink("copy") == 0 && chdir("/") == 0 && rmdir(folder) == 0);
}

static void in_memory(void) {
  const int memory = memfd_create("program", MFD_CLOEXEC);
  copy_file(self, memory);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
  struct counter probe = probe_file(kEveryone, path, offset, 0), at_return = probe_file(kEveryone, path, offset, 1);
  CHECK(execute(path, "3") == 0);
  printf("memfd: %ld, returns %ld\n", counted(probe, 3), counted(at_return, 3));
  // A library without a name.
  const int library = memfd_create("library", MFD_CLOEXEC);
  copy_file("/lib/x86_64-linux-gnu/libm.so.6", library);
  snprintf(path, sizeof path, "/proc/self/fd/%d", library);
  void* const handle = dlopen(path, RTLD_NOW);
  double (*lgamma)(double) = (double (*)(double))(handle ? dlsym(handle, "lgamma") : NULL);
  CHECK(lgamma);
  char name[400];
  struct counter in_library = probe_file(kEveryone, path, file_offset((void*)lgamma, name), 0);
  for (int i = 0; i < 4; ++i) CHECK(lgamma(2) == 0);
  dlclose(handle);
  void* const again = dlopen(path, RTLD_NOW);
  lgamma = (double (*)(double))dlsym(again, "lgamma");
  for (int i = 0; i < 2; ++i) CHECK(lgamma(2) == 0);
  printf("library in memory: %ld\n", counted(in_library, 6));
  end_count(probe, 0), end_count(at_return, 0), end_count(in_library, 0);
  close(memory), close(library);
}

static void write_file(const char* path, const char* text) {
  const int file = open(path, O_WRONLY);
  CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text));
  close(file);
}

// The process in the other namespaces has the file under a name that others see through its root alone. It has no
// capabilities here: who probes is its parent.
static int elsewhere(int ready, int go) {
  char map[64], byte;
  struct stat own_folder;  // bpfemu's tools appear as root; this is who they are
  CHECK(stat("/proc/self", &own_folder) == 0);
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
  write_file("/proc/self/setgroups", "deny");
  snprintf(map, sizeof map, "0 %d 1", (int)own_folder.st_uid);
  write_file("/proc/self/uid_map", map);
  snprintf(map, sizeof map, "0 %d 1", (int)own_folder.st_gid);
  write_file("/proc/self/gid_map", map);
  CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  CHECK(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
  const int place = open("/mnt/program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  const int own = open("/mnt/own", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  CHECK(place >= 0 && own >= 0);
  copy_file(self, own);
  close(place), close(own);
  CHECK(mount(self, "/mnt/program", NULL, MS_BIND, NULL) == 0);
  CHECK(execute("/mnt/program", "3") == 0);
  // Under another root.
  CHECK(mkdir("/mnt/root", 0755) == 0 && mount("/", "/mnt/root", NULL, MS_BIND | MS_REC, NULL) == 0);
  const pid_t child = fork();
  if (child == 0) _exit(chroot("/mnt/root") == 0 && chdir("/") == 0 ? execute(self, "5") : 98);
  CHECK(ended(child) == 0);
  CHECK(write(ready, "x", 1) == 1 && read(go, &byte, 1) == 1);
  CHECK(execute("/mnt/own", "4") == 0);
  return 0;
}

static void namespaces(void) {
  int ready[2], go[2];
  char byte, own[64];
  struct counter probe = probe_file(kEveryone, self, offset, 0);
  CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    close(ready[0]), close(go[1]);
    _exit(elsewhere(ready[1], go[0]));
  }
  close(ready[1]), close(go[0]);
  long there = 4;
  if (read(ready[0], &byte, 1) == 1) {
    snprintf(own, sizeof own, "/proc/%d/root/mnt/own", child);
    struct counter in_root = probe_file(kEveryone, own, offset, 0);
    CHECK(write(go[1], "x", 1) == 1);
    while (waitid(P_PID, child, &(siginfo_t){0}, WEXITED | WNOWAIT) != 0) continue;
    there = counted(in_root, 4);
    end_count(in_root, 0);
  }
  const int status = ended(child);
  close(ready[0]), close(go[1]);
  printf("a file of another namespace: %ld\n", there);
  printf("a bind mount and another root: %ld\n", status == 77 ? 8 : counted(probe, 8));
  end_count(probe, 0);
}

static int settles(int value) {
  for (int i = 0; i < 2000 && semaphore != value; ++i) sleep_ms(1);
  return semaphore;
}

// One for each breakpoint of the process, whoever many listen to it.
static void counters(void) {
  const int real = open_uprobe(kEveryone, self, offset, 0, 0);
  const int map = counter_map();  // events alone do not tell
  const int known = demanded() || (is_open(real) && is_open(map));
  if (is_open(map)) close(map);
  close(real);
#define SAY(what, value, expected) printf("%s: %d\n", what, known ? (value) : (expected))
  struct counter first = probe_config(kOnlyUs, self, offset, REF_CTR(counter), 0);
  SAY("one listener", semaphore, 1);
  struct counter second = probe_config(kEveryone, self, offset, REF_CTR(counter), 0);
  SAY("two", semaphore, 1);
  SAY("another counter", open_uprobe(kEveryone, self, offset, REF_CTR(other_counter), 0), -EINVAL);
  struct counter third = probe_config(kEveryone, self, other_offset, REF_CTR(counter) | kAtReturn, 0);
  SAY("two places", semaphore, 2);
  SAY("executed", execute(self, "1"), 2);
  end_count(second, 0), end_count(third, 0);
  SAY("one again", settles(1), 1);
  const pid_t child = fork();
  if (child == 0) {
    const int before = semaphore;
    probed(1);  // nobody listens to the child: its breakpoint goes
    _exit(before * 10 + semaphore);
  }
  const int seen = ended(child);
  SAY("a child, before and after its hit", seen, 10);
  SAY("executed, for another", execute(self, "1"), 0);
  printf("hits: %ld\n", counted(first, 0));
  end_count(first, 0);
  SAY("nobody", settles(0), 0);
  SAY("an odd place", open_uprobe(kEveryone, self, offset, REF_CTR(counter + 1), 0), -EINVAL);
}

int main(int count, char** arguments) {
  if (count > 1) return serve(atoi(arguments[1]));
  offset = file_offset((void*)probed, self);
  other_offset = file_offset((void*)also_probed, self);
  counter = file_offset((void*)&semaphore, self);
  other_counter = file_offset((void*)&other_semaphore, self);
  names();
  in_memory();
  namespaces();
  counters();
  printf("done\n");
}
