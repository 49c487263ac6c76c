// SPDX-License-Identifier: Apache-2.0
// Another mount namespace, and another root: what paths of tracefs and bpffs mean there. Says what it found.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char* what, long result) { printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "ok"); }
static int can_open(const char* path) {
  int fd = open(path, O_RDONLY);
  if (fd >= 0) close(fd);
  return fd;
}

int main(int argc, char** argv) {
  char cwd[200] = "";
  if (argc < 2 || (unshare(CLONE_NEWUSER | CLONE_NEWNS) && unshare(CLONE_NEWNS))) return 77;
  say("own mounts", can_open("/sys/kernel/tracing/tracing_on"));
  int old = open("/", O_PATH);
  if (chroot(argv[1]) || chdir("/")) return 77;
  say("own root", can_open("/sys/kernel/tracing/tracing_on"));
  say("up", can_open("../../sys/kernel/tracing/tracing_on"));
  say("old root", openat(old, "sys/kernel/tracing/tracing_on", O_RDONLY));
  say("bpf()'s folder", can_open("/sys/fs/bpf"));
  say("mount", mount("bpf", "/mnt", "bpf", 0, NULL));
  say("mkdir", mkdir("/mnt/d", 0700));
  say("chdir", chdir("/mnt/d"));
  printf("getcwd: %s\n", getcwd(cwd, sizeof cwd) ? cwd : "");
  say("dots", can_open("../d/."));
  say("busy", umount2("/mnt", 0));
  chdir("/");
  say("umount", umount2("/mnt", 0));
  say("gone", can_open("/mnt/d"));
}
