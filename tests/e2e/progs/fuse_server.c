// SPDX-License-Identifier: Apache-2.0
// fuse_server MOUNT: serves one file, and makes a call that stops for the tracer before each answer. A client hands
// memory that comes from the file to bpf(), and its descriptor to mmap(); a bystander makes calls all the while.
// fuse_server MOUNT FILE COMMAND...: MOUNT/a is FILE, whose parts come late; COMMAND runs meanwhile, whose status it
// returns.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "waiting_memory.h"

static void client(const char* folder) {
  char path[300];
  snprintf(path, sizeof path, "%s/a", folder);
  const int fd = open(path, O_RDONLY);
  const void* const page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  printf("map: %#x\n", through_map(page));
  const void* const again = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  printf("twice mapped: %#x\n", through_map(again));
  fflush(stdout);
  _exit(0);
}

static int served = -1;  // FILE

static int read_late(const struct fuse_read_in* in, char* body) {
  if (served < 0) return memset(body, 7, 4096), 4096;
  usleep(20000);
  const ssize_t size = pread(served, body, in->size, (off_t)in->offset);
  return size > 0 ? (int)size : 0;
}

static int answer(const struct fuse_in_header* in, char* body, int* error) {
  struct fuse_attr attr = {.ino = in->nodeid, .nlink = 1, .size = 4096};
  struct stat file;
  if (served >= 0 && fstat(served, &file) == 0) attr.size = (uint64_t)file.st_size;
  attr.mode = in->nodeid == 1 ? S_IFDIR | 0755 : S_IFREG | 0755;
  switch (in->opcode) {
    case FUSE_INIT:
      *(struct fuse_init_out*)body = (struct fuse_init_out){.major = 7, .minor = 31, .max_write = 65536};
      return sizeof(struct fuse_init_out);
    case FUSE_LOOKUP:
      attr.ino = 2, attr.mode = S_IFREG | 0755;
      *(struct fuse_entry_out*)body = (struct fuse_entry_out){.nodeid = 2, .attr = attr};
      return sizeof(struct fuse_entry_out);
    case FUSE_GETATTR:
      *(struct fuse_attr_out*)body = (struct fuse_attr_out){.attr = attr};
      return sizeof(struct fuse_attr_out);
    case FUSE_OPEN:
    case FUSE_OPENDIR: return sizeof(struct fuse_open_out);
    case FUSE_READ: return read_late((const struct fuse_read_in*)(in + 1), body);
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_ACCESS: return 0;
    default: *error = -ENOSYS; return 0;
  }
}

// Starts who uses the file; the number of those to wait for.
static int start_users(char** argv) {
  if (served >= 0) {
    if (fork() == 0) execvp(argv[3], argv + 3), _exit(127);
    return 1;
  }
  if (fork() == 0) client(argv[1]);
  if (fork() == 0) bystander();
  return 2;
}

int main(int argc, char** argv) {
  const int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
  mkdir(argv[1], 0755);
  if (device < 0 || mount("x", argv[1], "fuse", 0, options)) return perror("mount"), 1;
  if (argc > 3) served = open(argv[2], O_RDONLY | O_CLOEXEC);
  int left = start_users(argv), status = 0;
  fcntl(device, F_SETFL, O_NONBLOCK);
  static char request[1 << 20], out[1 << 18];
  while (left > 0) {
    while (waitpid(-1, &status, WNOHANG) > 0) --left;
    if (read(device, request, sizeof request) <= 0) {
      usleep(1000);
      continue;
    }
    const struct fuse_in_header* in = (void*)request;
    struct fuse_out_header* head = (void*)out;
    struct stat file;
    if (in->opcode == FUSE_FORGET) continue;
    if (in->opcode != FUSE_INIT) stat("/etc/hostname", &file);
    memset(out, 0, 8192);
    const int size = answer(in, out + sizeof *head, &head->error);
    head->unique = in->unique;
    head->len = sizeof *head + (head->error ? 0 : size);
    if (write(device, out, head->len) < 0) perror("write");
  }
  umount2(argv[1], MNT_DETACH);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
