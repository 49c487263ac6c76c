// SPDX-License-Identifier: Apache-2.0
// Structures of the kernel that programs implement: a congestion control is registered, chosen and taken back; functions of
// bpf_dummy_ops are test-run. As root on the claimed kernel it says the same; on others, nothing.
#include "kernel_btf.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define CONGESTION "tcp_congestion_ops"
#define DUMMY "bpf_dummy_ops"
enum { kValue = 1024 };

static int member_number(const char* structure, const char* member) {
  uint32_t id = 1;
  const struct btf_type* type = btf_find(BTF_KIND_STRUCT, structure, &id);
  const struct btf_member* members = type ? (const void*)(type + 1) : NULL;
  for (uint32_t i = 0; type && i < (type->info & 0xffff); ++i)
    if (strcmp(btf_name(kernel_btf(), members[i].name_off), member) == 0) return (int)i;
  return -1;
}

static uint32_t size_of(const char* structure) {
  uint32_t id = 1;
  const struct btf_type* type = btf_find(BTF_KIND_STRUCT, structure, &id);
  return type ? type->size : 0;
}

static int load(const char* structure, const char* member, const struct bpf_insn* code, uint32_t count) {
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_STRUCT_OPS};
  attr.attach_btf_id = btf_id(BTF_KIND_STRUCT, structure);
  attr.expected_attach_type = (uint32_t)member_number(structure, member);
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = count;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static int load_number(const char* structure, const char* member, int number) {
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = number},
                                  {.code = BPF_JMP | BPF_EXIT}};
  return load(structure, member, code, LENGTH(code));
}

static int btf;

static int new_map(const char* structure) {
  char value[64];
  snprintf(value, sizeof value, "bpf_struct_ops_%s", structure);
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_STRUCT_OPS, .key_size = 4, .max_entries = 1};
  attr.value_size = size_of(value);
  attr.btf_fd = (uint32_t)btf;
  attr.btf_vmlinux_value_type_id = btf_id(BTF_KIND_STRUCT, value);
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static long element(int command, int map, uint32_t key, void* value, uint64_t flags) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  if (command != BPF_MAP_DELETE_ELEM) attr.value = (uintptr_t)value;
  if (command == BPF_MAP_UPDATE_ELEM) attr.flags = flags;
  return bpf_call(command, &attr) >= 0 ? 0 : -errno;
}

static long put(int map, void* value) {
  return element(BPF_MAP_UPDATE_ELEM, map, 0, value, 0);
}

// The kernel's counter and state of a registered value; -1: there is none.
static int state_of(int map, uint32_t* references) {
  uint32_t value[kValue / 4] = {0};
  if (element(BPF_MAP_LOOKUP_ELEM, map, 0, value, 0) != 0) return -1;
  *references = value[0];
  return (int)value[1];
}

static void set(char* value, const char* structure, const char* member, int program) {
  *(uint64_t*)(value + 64 + btf_offset(structure, member)) = (uint64_t)program;
}

static int is_listed(const char* name) {
  char line[1000] = {0}, word[40];
  const int fd = open("/proc/sys/net/ipv4/tcp_available_congestion_control", O_RDONLY);
  if (fd < 0 || read(fd, line, sizeof line - 1) < 0) printf("no list, errno %d\n", errno);
  close(fd);
  snprintf(word, sizeof word, " %s", name);
  return strstr(line, word) != NULL;
}

static int choose(int socket, const char* name) {
  return setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)) == 0 ? 0 : -errno;
}

static int has(int socket, const char* name) {
  char chosen[20] = {0};
  socklen_t size = sizeof chosen;
  CHECK(getsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, chosen, &size) == 0 && size == 16);
  return strcmp(chosen, name) == 0;
}

static void registration(void) {
  const int ssthresh = load_number(CONGESTION, "ssthresh", 2), undo = load_number(CONGESTION, "undo_cwnd", 2);
  const int avoid = load_number(CONGESTION, "cong_avoid", 0);
  CHECK(ssthresh >= 0 && undo >= 0 && avoid >= 0);
  CHECK(load_number(CONGESTION, "get_info", 0) == -1 && errno == ENOTSUP + 429);  // ENOTSUPP
  const int map = new_map(CONGESTION), again = new_map(CONGESTION);
  CHECK(map >= 0 && again >= 0);
  char value[kValue] = {0};
  uint32_t references = 99;
  set(value, CONGESTION, "ssthresh", ssthresh);
  set(value, CONGESTION, "undo_cwnd", undo);
  CHECK(put(map, value) == -EINVAL);  // no name
  strcpy(value + 64 + btf_offset(CONGESTION, "name"), "reno");
  CHECK(put(map, value) == -EEXIST);
  strcpy(value + 64 + btf_offset(CONGESTION, "name"), "bpf-cc");
  CHECK(put(map, value) == -EINVAL);
  strcpy(value + 64 + btf_offset(CONGESTION, "name"), "bpf_test_cc");
  CHECK(put(map, value) == -EINVAL);  // not whole
  CHECK(state_of(map, &references) == 0 && references == 0);
  set(value, CONGESTION, "cong_avoid", undo);
  CHECK(put(map, value) == -EINVAL);  // another function's program
  set(value, CONGESTION, "cong_avoid", btf);
  CHECK(put(map, value) == -EINVAL);  // no program
  set(value, CONGESTION, "cong_avoid", 999);
  CHECK(put(map, value) == -EBADF);
  set(value, CONGESTION, "cong_avoid", avoid);
  CHECK(element(BPF_MAP_UPDATE_ELEM, map, 0, value, BPF_EXIST) == -EINVAL);
  CHECK(element(BPF_MAP_UPDATE_ELEM, map, 1, value, 0) == -E2BIG);
  value[0] = 1;
  CHECK(put(map, value) == -EINVAL);
  value[0] = 0, value[8] = 1;
  CHECK(put(map, value) == -EINVAL);  // a hole
  value[8] = 0, value[64 + btf_offset(CONGESTION, "key")] = 1;
  CHECK(put(map, value) == -EINVAL);  // the kernel's own
  value[64 + btf_offset(CONGESTION, "key")] = 0, value[64 + btf_offset(CONGESTION, "flags")] = 8;
  CHECK(put(map, value) == -EINVAL);
  value[64 + btf_offset(CONGESTION, "flags")] = 0;
  CHECK(element(BPF_MAP_DELETE_ELEM, map, 0, NULL, 0) == -ENOENT);
  CHECK(!is_listed("bpf_test_cc"));

  CHECK(put(map, value) == 0);
  CHECK(is_listed("bpf_test_cc"));
  CHECK(put(map, value) == -EBUSY && put(again, value) == -EEXIST);
  CHECK(state_of(map, &references) == 1 && references == 1);
  struct bpf_map_info info = {0};
  union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)map, .info_len = sizeof info}};
  attr.info.info = (uintptr_t)&info;
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
  CHECK(info.btf_vmlinux_value_type_id == btf_id(BTF_KIND_STRUCT, "bpf_struct_ops_tcp_congestion_ops"));

  const int one = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(choose(one, "bpf_test_cc") == 0 && has(one, "bpf_test_cc"));
  CHECK(state_of(map, &references) == 1 && references == 2);
  CHECK(choose(one, "bpf_no_cc") == -ENOENT && has(one, "bpf_test_cc"));
  CHECK(choose(other, "reno") == 0 && has(other, "reno"));
  CHECK(element(BPF_MAP_DELETE_ELEM, map, 0, NULL, 0) == 0);
  CHECK(element(BPF_MAP_DELETE_ELEM, map, 0, NULL, 0) == -EINPROGRESS);
  CHECK(!is_listed("bpf_test_cc") && choose(other, "bpf_test_cc") == -ENOENT && has(one, "bpf_test_cc"));
  CHECK(state_of(map, &references) == 2 && references == 1);
  CHECK(choose(one, "reno") == 0 && has(one, "reno"));
  CHECK(put(map, value) == -EBUSY && put(again, value) == 0);
  close(one), close(other);

  // Registered it stays, whoever holds the map.
  close(again), close(map);
  CHECK(is_listed("bpf_test_cc"));
  uint32_t id = 0;
  for (;;) {
    union bpf_attr next = {.start_id = id};
    if (bpf_call(BPF_MAP_GET_NEXT_ID, &next) != 0) break;
    id = next.next_id;
    union bpf_attr by_id = {.map_id = id};
    const int fd = bpf_call(BPF_MAP_GET_FD_BY_ID, &by_id);
    attr.info.bpf_fd = (uint32_t)fd;
    memset(&info, 0, sizeof info);
    if (fd >= 0 && bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && info.type == BPF_MAP_TYPE_STRUCT_OPS)
      CHECK(element(BPF_MAP_DELETE_ELEM, fd, 0, NULL, 0) == 0);
    close(fd);
  }
  CHECK(!is_listed("bpf_test_cc"));
  close(ssthresh), close(undo), close(avoid);
}

// The first argument points to a struct of one int.
static void dummy(void) {
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -7},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 1, .off = 3},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 0, .src_reg = 1, .off = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0x5a},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 2, .off = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int program = load(DUMMY, "test_1", code, LENGTH(code));
  CHECK(program >= 0);
  int state = 0x1234;
  uint64_t arguments[2] = {(uintptr_t)&state};
  union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program, .ctx_size_in = 8}};
  attr.test.ctx_in = (uintptr_t)arguments;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == 0 && attr.test.retval == 0x1234 && state == 0x5a);
  arguments[0] = 0;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == 0 && attr.test.retval == (uint32_t)-7);
  attr.test.ctx_size_in = 16;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == -1 && errno == EINVAL);
  attr.test.ctx_size_in = 8;
  arguments[0] = 8;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == -1 && errno == EFAULT);
  const int other = load_number(CONGESTION, "undo_cwnd", 2);
  attr.test.prog_fd = (uint32_t)other;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == -1 && errno == EOPNOTSUPP);
  close(other);

  const int map = new_map(DUMMY);
  char value[kValue] = {0};
  set(value, DUMMY, "test_1", program);
  CHECK(map >= 0 && put(map, value) == -EOPNOTSUPP);
  close(map), close(program);
}

int main(void) {
  btf = load_int_btf();
  if (!is_claimed_kernel() || !is_open(btf)) {
    if (demanded()) printf("6.1: %d, BTF %d\n", is_claimed_kernel(), btf);
    return 0;
  }
  registration();
  dummy();
  return 0;
}
