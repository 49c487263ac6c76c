// SPDX-License-Identifier: Apache-2.0
// Programs of cgroups that look at what their members use beside sockets: device nodes and sysctls; LSM programs of
// cgroups; and iterators over cgroups. As root on the claimed kernel it says the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "kernel_btf.h"

static int opened(const char* path, int flags) {
  const int fd = open(path, flags);
  if (fd < 0) return -errno;
  close(fd);
  return 0;
}

// Refuses writing to /dev/null (1:3), and all of /dev/zero (1:5).
static void check_devices(int cgroup) {
#define FIELD(reg, name) \
  {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = reg, .src_reg = 1, .off = offsetof(struct bpf_cgroup_dev_ctx, name)}
  const struct bpf_insn code[] = {
      FIELD(2, access_type),
      FIELD(3, major),
      FIELD(4, minor),
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 3, .off = 5, .imm = 1},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 4, .off = 3, .imm = 5},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 4, .off = 3, .imm = 3},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 2, .off = 1, .imm = BPF_DEVCG_ACC_WRITE << 16 | BPF_DEVCG_DEV_CHAR},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 1, .imm = (BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_READ) << 16 | BPF_DEVCG_DEV_CHAR},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int program = load(BPF_PROG_TYPE_CGROUP_DEVICE, 0, code, LENGTH(code));
  // So often, and so long after any change of the tree, that a process may decide it by itself.
  usleep(150000);
  for (int turn = 0; turn < 40; ++turn) CHECK(opened("/dev/zero", O_RDONLY) == 0);
  CHECK(attach(cgroup, program, BPF_CGROUP_DEVICE, 0) == 0);
  for (int turn = 0; turn < 40; ++turn) CHECK(opened("/dev/zero", O_RDONLY) == -EPERM);
  CHECK(opened("/dev/null", O_RDONLY) == 0);
  CHECK(opened("/dev/null", O_WRONLY) == -EPERM);
  CHECK(opened("/dev/null", O_RDWR | O_TRUNC) == -EPERM);
  CHECK(opened("/dev/null", O_PATH) == 0);
  CHECK(access("/dev/zero", F_OK) == -1 && errno == EPERM);
  CHECK(access("/dev/null", W_OK) == -1 && errno == EPERM);
  CHECK(access("/dev/null", R_OK) == 0);
  CHECK(opened("/dev/full", O_RDWR) == 0);
  CHECK(opened("/", O_RDONLY) == 0);
  char path[] = "/tmp/device.XXXXXX";
  CHECK(mkdtemp(path) != NULL);
  const int folder_fd = open(path, O_RDONLY | O_DIRECTORY);
  CHECK(mknodat(folder_fd, "zero", S_IFCHR | 0600, makedev(1, 5)) == -1 && errno == EPERM);
  CHECK(rmdir(path) == 0);
  close(folder_fd);
  CHECK(detach(cgroup, program, BPF_CGROUP_DEVICE) == 0);
  CHECK(opened("/dev/zero", O_RDONLY) == 0);
  close(program);
}

static int load_sysctl(const struct bpf_insn* code, uint32_t count) {
  return load(BPF_PROG_TYPE_CGROUP_SYSCTL, 0, code, count);
}

// A number that both kernels have: kernel.perf_event_max_stack is only written with its own value.
static void check_sysctls(int cgroup) {
  static const char kPath[] = "/proc/sys/kernel/perf_event_max_stack";
  char before[32] = {0}, text[32] = {0};
  int fd = open(kPath, O_RDONLY);
  const ssize_t size = read(fd, before, sizeof before - 1);
  close(fd);
  CHECK(size > 1);
  const int refuses = load_returning(BPF_PROG_TYPE_CGROUP_SYSCTL, 0, 0);
  CHECK(attach(cgroup, refuses, BPF_CGROUP_SYSCTL, 0) == 0);
  fd = open(kPath, O_RDWR);
  CHECK(fd >= 0);
  CHECK(read(fd, text, sizeof text) == -1 && errno == EPERM);
  CHECK(write(fd, "99", 2) == -1 && errno == EPERM);
  close(fd);
  CHECK(detach(cgroup, refuses, BPF_CGROUP_SYSCTL) == 0);
  close(refuses);
  // Looks at the name and the current value: "kernel/perf_event_max_stack", whose letters at 0 and 7 are k and p.
  // Writes are replaced by what it is.
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -64},
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -56},
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -48},
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -40},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -64},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 32},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sysctl_get_name},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 7, .off = 21, .imm = 27},
      {.code = BPF_LDX | BPF_MEM | BPF_B, .dst_reg = 1, .src_reg = 10, .off = -64 + 7},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 1, .off = 19, .imm = 'p'},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -64},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 32},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sysctl_get_current_value},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_JSLT | BPF_K, .dst_reg = 7, .off = 11, .imm = 2},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 6, .off = offsetof(struct bpf_sysctl, write)},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 1, .off = 8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -64},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 3},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sysctl_set_new_value},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 7, .off = 1},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int replaces = load_sysctl(code, LENGTH(code));
  CHECK(replaces >= 0);
  CHECK(attach(cgroup, replaces, BPF_CGROUP_SYSCTL, 0) == 0);
  fd = open(kPath, O_RDWR);
  CHECK(read(fd, text, sizeof text - 1) == size && strcmp(text, before) == 0);
  CHECK(read(fd, text, sizeof text - 1) == 0);
  close(fd);
  fd = open(kPath, O_WRONLY);
  CHECK(write(fd, "17", 2) == 3);
  close(fd);
  CHECK(detach(cgroup, replaces, BPF_CGROUP_SYSCTL) == 0);
  memset(text, 0, sizeof text);
  fd = open(kPath, O_RDONLY);
  CHECK(read(fd, text, sizeof text - 1) == size && strcmp(text, before) == 0);
  close(fd), close(replaces);
}

static int load_lsm(const char* hook, int value) {
  const struct bpf_insn code[] = {RETURN(value)};
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_LSM};
  attr.expected_attach_type = BPF_LSM_CGROUP;
  attr.attach_btf_id = btf_id(BTF_KIND_FUNC, hook);
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = LENGTH(code);
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static void check_lsm(int cgroup) {
  const int refuses = load_lsm("bpf_lsm_socket_bind", 0), passes = load_lsm("bpf_lsm_socket_bind", 1);
  // A kernel without trampolines, or an LSM of its own against it, loads none.
  if (refuses < 0 && !demanded()) return;
  const int listens = load_lsm("bpf_lsm_socket_listen", 0);
  const struct sockaddr_in any = {.sin_family = AF_INET};
  const int other = make("other");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(attach(cgroup, refuses, BPF_LSM_CGROUP, 0) == 0);
  CHECK(queried(cgroup, BPF_LSM_CGROUP, 0) == -EINVAL);
  CHECK(queried(cgroup, BPF_LSM_CGROUP, BPF_F_QUERY_EFFECTIVE) == 1);
  CHECK(queried(other, BPF_LSM_CGROUP, BPF_F_QUERY_EFFECTIVE) == 0);
  CHECK(bind(fd, (const struct sockaddr*)&any, sizeof any) == -1 && errno == EPERM);
  CHECK(attach(cgroup, passes, BPF_LSM_CGROUP, 0) == 0);
  CHECK(bind(fd, (const struct sockaddr*)&any, sizeof any) == 0);
  const int link = attach_link(cgroup, listens, BPF_LSM_CGROUP);
  CHECK(link >= 0);
  CHECK(queried(cgroup, BPF_LSM_CGROUP, BPF_F_QUERY_EFFECTIVE) == 2);
  CHECK(listen(fd, 1) == -1 && errno == EPERM);
  // The task's cgroup is asked, not that of the socket.
  char path[256];
  snprintf(path, sizeof path, "%s/cgroup.procs", folder);
  CHECK(write_to(AT_FDCWD, path, "0") == 0);
  CHECK(listen(fd, 1) == 0);
  const int outside = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(listen(outside, 1) == 0);
  CHECK(write_to(cgroup, "cgroup.procs", "0") == 0);
  close(link);
  CHECK(listen(fd, 1) == 0);
  CHECK(detach(cgroup, passes, BPF_LSM_CGROUP) == 0);
  CHECK(queried(cgroup, BPF_LSM_CGROUP, BPF_F_QUERY_EFFECTIVE) == 0);
  close(fd), close(outside), close(other), close(refuses), close(passes), close(listens);
  snprintf(path, sizeof path, "%s/other", folder);
  CHECK(rmdir(path) == 0);
}

// What an iterator over cgroups shows: the ids, one a line, of those that it comes to.
static int load_iterator(void) {
  static const char kLine[] = "%llu\n";
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = sizeof kLine, .max_entries = 1};
  map.map_flags = BPF_F_RDONLY_PROG;
  const int text = bpf_call(BPF_MAP_CREATE, &map);
  const uint32_t key = 0;
  union bpf_attr put = {.map_fd = (uint32_t)text};
  put.key = (uintptr_t)&key;
  put.value = (uintptr_t)kLine;
  CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &put) == 0);
  union bpf_attr freeze = {.map_fd = (uint32_t)text};
  CHECK(bpf_call(BPF_MAP_FREEZE, &freeze) == 0);
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1, .off = 8},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 2, .off = 12},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 2, .off = (int16_t)btf_offset("cgroup", "kn")},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 2, .off = (int16_t)btf_offset("kernfs_node", "id")},
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 2, .off = -8},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = 0},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = text},
      {.code = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = sizeof kLine},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 4, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 4, .imm = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 5, .imm = 8},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_printf},
      RETURN(0),
  };
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_TRACING};
  attr.expected_attach_type = BPF_TRACE_ITER;
  attr.attach_btf_id = btf_id(BTF_KIND_FUNC, "bpf_iter_cgroup");
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = LENGTH(code);
  attr.license = (uintptr_t) "GPL";
  const int program = bpf_call(BPF_PROG_LOAD, &attr);
  close(text);
  return program;
}

static int iterator_link(int program, union bpf_iter_link_info info) {
  union bpf_attr attr = {};
  attr.link_create.prog_fd = (uint32_t)program;
  attr.link_create.attach_type = BPF_TRACE_ITER;
  attr.link_create.iter_info = (uintptr_t)&info;
  attr.link_create.iter_info_len = sizeof info;
  const int link = bpf_call(BPF_LINK_CREATE, &attr);
  return link < 0 ? -errno : link;
}

static unsigned long long id_of(int cgroup) {
  struct stat st = {0};
  CHECK(fstat(cgroup, &st) == 0);
  return st.st_ino;
}

static void check_walk(int program, int cgroup, unsigned order, const char* expected) {
  const union bpf_iter_link_info info = {.cgroup = {.order = order, .cgroup_fd = (uint32_t)cgroup}};
  const int link = iterator_link(program, info);
  CHECK(link >= 0);
  union bpf_attr attr = {};
  attr.iter_create.link_fd = (uint32_t)link;
  const int iterator = bpf_call(BPF_ITER_CREATE, &attr);
  char text[1000] = {0};
  CHECK(read(iterator, text, sizeof text - 1) == (ssize_t)strlen(expected));
  CHECK(read(iterator, text, sizeof text - 1) == 0);
  if (strcmp(text, expected) != 0) printf("order %u: %s; not: %s\n", order, expected, text);
  close(iterator), close(link);
}

static void check_iterators(int cgroup) {
  const int first = make("uses/z"), second = make("uses/a"), below = make("uses/z/b"), program = load_iterator();
  if (program < 0) perror("cgroup iterator");
  const union bpf_iter_link_info wrong[] = {
      {.cgroup = {.order = 0}},
      {.cgroup = {.order = 5}},
      {.cgroup = {.order = 1, .cgroup_fd = (uint32_t)cgroup, .cgroup_id = 1}},
      {.cgroup = {.order = 1, .cgroup_fd = (uint32_t)-1}},
      {.cgroup = {.order = 1, .cgroup_id = 1ull << 40}},
  };
  const int errors[] = {-EINVAL, -EINVAL, -EINVAL, -EBADF, -ENOENT};
  for (uint32_t n = 0; n < LENGTH(wrong); ++n) CHECK(iterator_link(program, wrong[n]) == errors[n]);
  char text[200];
  const unsigned long long ids[] = {id_of(cgroup), id_of(first), id_of(below), id_of(second)};
  snprintf(text, sizeof text, "%llu\n", ids[0]);
  check_walk(program, cgroup, BPF_CGROUP_ITER_SELF_ONLY, text);
  snprintf(text, sizeof text, "%llu\n%llu\n%llu\n%llu\n", ids[0], ids[1], ids[2], ids[3]);
  check_walk(program, cgroup, BPF_CGROUP_ITER_DESCENDANTS_PRE, text);
  snprintf(text, sizeof text, "%llu\n%llu\n%llu\n%llu\n", ids[2], ids[1], ids[3], ids[0]);
  check_walk(program, cgroup, BPF_CGROUP_ITER_DESCENDANTS_POST, text);
  const int root = open(folder, O_RDONLY | O_DIRECTORY);
  snprintf(text, sizeof text, "%llu\n%llu\n%llu\n%llu\n", ids[2], ids[1], ids[0], id_of(root));
  check_walk(program, below, BPF_CGROUP_ITER_ANCESTORS_UP, text);
  close(root), close(program), close(first), close(second), close(below);
  char path[256];
  for (const char* const* name = (const char* const[]){"uses/z/b", "uses/z", "uses/a", NULL}; *name; ++name) {
    snprintf(path, sizeof path, "%s/%s", folder, *name);
    CHECK(rmdir(path) == 0);
  }
}

// All of a cgroup and those below it.
static void check_kill(int cgroup) {
  const int below = make("uses/killed");
  const pid_t child = fork();
  if (child == 0) {
    if (write_to(below, "cgroup.procs", "0") != 0) _exit(1);
    for (;;) pause();
  }
  while (strcmp(read_from(below, "cgroup.events"), "populated 1\nfrozen 0\n") != 0) usleep(1000);
  CHECK(write_to(below, "cgroup.kill", "2") == -ERANGE);
  CHECK(write_to(below, "cgroup.kill", "1") == 0);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  close(below);
  CHECK(unlinkat(cgroup, "killed", AT_REMOVEDIR) == 0);
}

int main(void) {
  if (!mount_cgroups()) return 0;
  const int cgroup = make("uses");
  CHECK(write_to(cgroup, "cgroup.procs", "0") == 0);
  check_devices(cgroup);
  check_sysctls(cgroup);
  check_lsm(cgroup);
  check_iterators(cgroup);
  check_kill(cgroup);
  close(cgroup);
  leave_cgroup("uses");
  unmount_cgroups();
  return 0;
}
