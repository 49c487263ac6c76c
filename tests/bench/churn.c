// SPDX-License-Identifier: Apache-2.0
// Makes and drops objects of every kind, over and over: see the script `churn`.
//   churn FIRST COUNT    after so many turns, and at the end, says so and waits for a line
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kTurnsAProcess = 20, kTurnsACgroup = 10 };

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int bpf(int command, union bpf_attr* attr) {
  const int result = syscall(SYS_bpf, command, attr, sizeof *attr);
  if (result < 0) {
    fprintf(stderr, "bpf(%d): %s\n", command, strerror(errno));
    exit(1);
  }
  return result;
}

// An int; structs bpf_timer and timed, which holds one; a function without arguments, and two of its kind.
static const char kNames[] = "\0int\0bpf_timer\0timed\0timer\0entry\0called";
static const uint32_t kTypes[] = {1,  BTF_KIND_INT << 24,        4,  BTF_INT_SIGNED << 24 | 32,  //
                                  5,  BTF_KIND_STRUCT << 24,     16,                             //
                                  15, BTF_KIND_STRUCT << 24 | 1, 16, 21, 2, 0,                   //
                                  0,  BTF_KIND_FUNC_PROTO << 24, 1,                              //
                                  27, BTF_KIND_FUNC << 24,       4,                              //
                                  33, BTF_KIND_FUNC << 24,       4};
enum { kInt = 1, kTimed = 3, kEntry = 5, kCalled = 6 };

static int load_btf(void) {
  struct {
    struct btf_header header;
    uint32_t types[COUNT(kTypes)];
    char names[sizeof kNames];
  } blob = {.header = {.magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(struct btf_header), .type_len = sizeof kTypes,
                       .str_off = sizeof kTypes, .str_len = sizeof kNames}};
  memcpy(blob.types, kTypes, sizeof kTypes);
  memcpy(blob.names, kNames, sizeof kNames);
  union bpf_attr attr = {.btf = (uintptr_t)&blob, .btf_size = sizeof blob.header + sizeof kTypes + sizeof kNames};
  return bpf(BPF_BTF_LOAD, &attr);
}

static int make_map(unsigned type, unsigned key, unsigned value, unsigned entries, unsigned flags, int btf, unsigned value_type) {
  union bpf_attr attr = {.map_type = type, .key_size = key, .value_size = value, .max_entries = entries, .map_flags = flags};
  if (btf >= 0) attr.btf_fd = btf, attr.btf_key_type_id = kInt, attr.btf_value_type_id = value_type;
  return bpf(BPF_MAP_CREATE, &attr);
}

static void update(int map, const void* key, const void* value) {
  union bpf_attr attr = {.map_fd = map, .key = (uintptr_t)key, .value = (uintptr_t)value};
  bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static int load(unsigned type, const struct bpf_insn* code, unsigned count, int btf) {
  const struct bpf_func_info functions[] = {{0, kEntry}, {count - 2, kCalled}};
  union bpf_attr attr = {.prog_type = type, .insn_cnt = count, .insns = (uintptr_t)code, .license = (uintptr_t) "GPL"};
  if (btf >= 0) {
    attr.prog_btf_fd = btf;
    attr.func_info = (uintptr_t)functions;
    attr.func_info_rec_size = sizeof functions[0];
    attr.func_info_cnt = COUNT(functions);
  }
  return bpf(BPF_PROG_LOAD, &attr);
}

static void turn_of_maps(int btf) {
  (void)btf;
  uint64_t value[64] = {1};
  for (unsigned i = 0, key = 5; i < 3; ++i) {
    static const unsigned types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_LRU_HASH};
    const int map = make_map(types[i], 4, 8, 100, 0, -1, 0);
    update(map, &key, value);
    close(map);
  }
  const int inner = make_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, -1, 0), key = 0;
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 1, .inner_map_fd = inner};
  const int outer = bpf(BPF_MAP_CREATE, &attr);
  update(outer, &key, &inner);
  close(inner);
  close(outer);
}

static void turn_of_programs(int btf) {
  (void)btf;
  const int map = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, -1, 0);
  const struct bpf_insn code[] = {{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
                                  {.code = 0},
                                  {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
                                  {.code = BPF_JMP | BPF_EXIT}};
  close(load(BPF_PROG_TYPE_SOCKET_FILTER, code, COUNT(code), -1));
  const int program = load(BPF_PROG_TYPE_RAW_TRACEPOINT, code, COUNT(code), -1);
  union bpf_attr attr = {.raw_tracepoint = {.name = (uintptr_t) "sched_process_exit", .prog_fd = program}};
  const int link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
  close(map);
  close(program);
  close(link);
}

// A timer that rings at once, one that would in an hour.
static void turn_of_timers(int btf) {
  const int map = make_map(BPF_MAP_TYPE_ARRAY, 4, 16, 2, 0, btf, kTimed);
  struct bpf_insn code[64];
  unsigned count = 0, fixups[2], fixup_count = 0;
#define ADD(...) code[count++] = (struct bpf_insn){__VA_ARGS__}
  for (int key = 0; key < 2; ++key) {
    ADD(.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = key);
    ADD(.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map);
    ADD(.code = 0);
    ADD(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10);
    ADD(.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4);
    ADD(.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem);
    ADD(.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 15);
    ADD(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 0);
    ADD(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6);
    ADD(.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map);
    ADD(.code = 0);
    ADD(.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 1);
    ADD(.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_timer_init);
    ADD(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6);
    fixups[fixup_count++] = count;
    ADD(.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_FUNC);
    ADD(.code = 0);
    ADD(.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_timer_set_callback);
    ADD(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6);
    ADD(.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .imm = key ? 0 : 1000);
    ADD(.code = 0, .imm = key ? 1000 : 0);
    ADD(.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3);
    ADD(.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_timer_start);
  }
  ADD(.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0);
  ADD(.code = BPF_JMP | BPF_EXIT);
  for (unsigned i = 0; i < fixup_count; ++i) code[fixups[i]].imm = (int)(count - fixups[i] - 1);
  ADD(.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0);
  ADD(.code = BPF_JMP | BPF_EXIT);
#undef ADD
  const int program = load(BPF_PROG_TYPE_SCHED_CLS, code, count, btf);
  char packet[64] = {0};
  union bpf_attr attr = {.test = {.prog_fd = program, .data_in = (uintptr_t)packet, .data_size_in = sizeof packet}};
  bpf(BPF_PROG_TEST_RUN, &attr);
  close(map);
  close(program);
}

// Values that are taken away, and ones that go with their map.
static void turn_of_storage(int btf) {
  static int lasting = -1, file = -1;
  if (lasting < 0) lasting = make_map(BPF_MAP_TYPE_INODE_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, btf, kInt);
  if (file < 0) file = memfd_create("owner", 0);
  const int passing = make_map(BPF_MAP_TYPE_TASK_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, btf, kInt), value = 7;
  const int task = syscall(SYS_pidfd_open, getpid(), 0);
  update(lasting, &file, &value);
  update(passing, &task, &value);
  union bpf_attr attr = {.map_fd = lasting, .key = (uintptr_t)&file};
  bpf(BPF_MAP_DELETE_ELEM, &attr);
  close(task);
  close(passing);
}

// Values that go with their owner: a socket, and a process in one of a few turns, since it takes longer. Of inodes that are
// gone some are remembered.
static void turn_of_owners(int btf) {
  static int of_sockets = -1, of_tasks;
  static unsigned turn;
  if (of_sockets < 0) {
    of_sockets = make_map(BPF_MAP_TYPE_SK_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, btf, kInt);
    of_tasks = make_map(BPF_MAP_TYPE_TASK_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, btf, kInt);
  }
  const int owner = socket(AF_INET, SOCK_DGRAM, 0), value = 7;
  update(of_sockets, &owner, &value);
  close(owner);
  if (turn++ % kTurnsAProcess) return;
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const int task = syscall(SYS_pidfd_open, child, 0);
  update(of_tasks, &task, &value);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(task);
}

// A cgroup with a program, which has a value of storage there.
static void turn_of_cgroups(int btf) {
  (void)btf;
  static unsigned turn;
  if (turn++ % kTurnsACgroup) return;
  static const char folder[] = "/sys/fs/cgroup/churn";
  if (mkdir(folder, 0755) != 0) exit(1);
  const int cgroup = open(folder, O_RDONLY | O_DIRECTORY);
  const int map = make_map(BPF_MAP_TYPE_CGROUP_STORAGE, sizeof(struct bpf_cgroup_storage_key), 8, 0, 0, -1, 0);
  const struct bpf_insn code[] = {{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
                                  {.code = 0},
                                  {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2},
                                  {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_local_storage},
                                  {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
                                  {.code = BPF_JMP | BPF_EXIT}};
  const int program = load(BPF_PROG_TYPE_CGROUP_SKB, code, COUNT(code), -1);
  union bpf_attr attr = {.target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_INET_EGRESS};
  bpf(BPF_PROG_ATTACH, &attr);
  close(map);
  close(program);
  close(cgroup);
  if (rmdir(folder) != 0) exit(1);
}

int main(int argc, char** argv) {
  static void (*const turns[])(int) = {turn_of_maps, turn_of_programs, turn_of_timers,
                                      turn_of_storage, turn_of_owners, turn_of_cgroups};
  if (argc != 3) return 2;
  const unsigned first = strtoul(argv[1], NULL, 0), count = first + strtoul(argv[2], NULL, 0);
  const int btf = load_btf();
  for (unsigned i = 1; i <= count; ++i) {
    for (unsigned kind = 0; kind < COUNT(turns); ++kind) turns[kind](btf);
    if (i != first && i != count) continue;
    printf("%u\n", i);
    fflush(stdout);
    if (getchar() == EOF) return 1;
  }
  return 0;
}
