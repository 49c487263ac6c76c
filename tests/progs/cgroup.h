// SPDX-License-Identifier: Apache-2.0
// Folders of cgroup2 in a mount of one's own, and programs that are attached to them.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/mount.h>
#include <sys/stat.h>

#include "counter.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define RETURN(value) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (value)}, {.code = BPF_JMP | BPF_EXIT}

static char folder[] = "/tmp/cgroups.XXXXXX";

static inline int load(uint32_t type, uint32_t attach, const struct bpf_insn* code, uint32_t count) {
  union bpf_attr attr = {.prog_type = type};
  attr.expected_attach_type = attach;
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = count;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static inline int load_returning(uint32_t type, uint32_t attach, int value) {
  const struct bpf_insn code[] = {RETURN(value)};
  return load(type, attach, code, LENGTH(code));
}

static inline int attach(int cgroup, int program, uint32_t type, uint32_t flags) {
  union bpf_attr attr = {.target_fd = (uint32_t)cgroup};
  attr.attach_bpf_fd = (uint32_t)program;
  attr.attach_type = type;
  attr.attach_flags = flags;
  return bpf_call(BPF_PROG_ATTACH, &attr) == 0 ? 0 : -errno;
}

static inline int detach(int cgroup, int program, uint32_t type) {
  union bpf_attr attr = {.target_fd = (uint32_t)cgroup};
  attr.attach_bpf_fd = (uint32_t)program;
  attr.attach_type = type;
  return bpf_call(BPF_PROG_DETACH, &attr) == 0 ? 0 : -errno;
}

static inline int attach_link(int cgroup, int program, uint32_t type) {
  union bpf_attr attr = {};
  attr.link_create.prog_fd = (uint32_t)program;
  attr.link_create.target_fd = (uint32_t)cgroup;
  attr.link_create.attach_type = type;
  const int link = bpf_call(BPF_LINK_CREATE, &attr);
  return link < 0 ? -errno : link;
}

static inline int queried(int cgroup, uint32_t type, uint32_t flags) {
  uint32_t ids[8];
  union bpf_attr attr = {};
  attr.query.target_fd = (uint32_t)cgroup;
  attr.query.attach_type = type;
  attr.query.query_flags = flags;
  attr.query.prog_ids = (uintptr_t)ids;
  attr.query.prog_cnt = LENGTH(ids);
  return bpf_call(BPF_PROG_QUERY, &attr) == 0 ? (int)attr.query.prog_cnt : -errno;
}

static inline int make(const char* name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK(mkdir(path, 0755) == 0);
  return open(path, O_RDONLY | O_DIRECTORY);
}

static inline int write_to(int cgroup, const char* name, const char* text) {
  const int fd = openat(cgroup, name, O_WRONLY);
  const ssize_t written = write(fd, text, strlen(text));
  const int error = errno;
  close(fd);
  return written < 0 ? -error : 0;
}

static inline const char* read_from(int cgroup, const char* name) {
  static char text[4096];
  const int fd = openat(cgroup, name, O_RDONLY);
  const ssize_t size = read(fd, text, sizeof text - 1);
  text[size < 0 ? 0 : size] = 0;
  close(fd);
  return text;
}

// 0: there is no cgroup2 here, or no program of cgroups, which is told where there must be.
static inline int mount_cgroups(void) {
  // A container's filter may refuse a namespace, but not the mount.
  if (unshare(CLONE_NEWNS) == 0) CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  if (!mkdtemp(folder) || mount("none", folder, "cgroup2", 0, NULL) != 0) {
    if (demanded()) printf("no cgroup2, errno %d\n", errno);
    rmdir(folder);
    return 0;
  }
  const int program = load_returning(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, 1);
  if (program < 0 && demanded()) printf("no programs of cgroups, errno %d\n", errno);
  if (program >= 0) close(program);
  return program >= 0;
}

static inline void leave_cgroup(const char* name) {
  char path[256];
  snprintf(path, sizeof path, "%s/cgroup.procs", folder);
  CHECK(write_to(AT_FDCWD, path, "0") == 0);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK(rmdir(path) == 0);
}

static inline void unmount_cgroups(void) {
  CHECK(umount2(folder, MNT_DETACH) == 0 && rmdir(folder) == 0);
}
