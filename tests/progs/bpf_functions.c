// SPDX-License-Identifier: Apache-2.0
// Programs on functions of bpf itself: those that map commands pass, those that other programs' runs pass, and their own,
// to which they do not come a second time. And maps, as those see them who follow a pointer to one. As root on the claimed
// kernel it says the same; on others, nothing.
#include "kernel_btf.h"


#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define MAP(reg, fd) {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = reg, .src_reg = BPF_PSEUDO_MAP_FD, .imm = fd}, {.code = 0}
#define MOVE(to, from) {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from}
#define SET(reg, number) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .imm = number}
#define ADD(reg, number) {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = reg, .imm = number}
#define HELP(helper) {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_##helper}
#define EXIT {.code = BPF_JMP | BPF_EXIT}

static int map_of(uint32_t type, uint32_t entries, uint32_t flags) {
  union bpf_attr attr = {.map_type = type, .key_size = 4, .value_size = 8, .max_entries = entries, .map_flags = flags};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static long element(int command, int map, uint32_t key, uint64_t* value) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  if (command != BPF_MAP_DELETE_ELEM) attr.value = (uintptr_t)value;
  return bpf_call(command, &attr) == 0 ? 0 : -errno;
}

static long value_of(int map, uint32_t key) {
  uint64_t value = ~0ull;
  return element(BPF_MAP_LOOKUP_ELEM, map, key, &value) == 0 ? (long)value : -1;
}

static int load(uint32_t type, uint32_t attach, const char* function, const struct bpf_insn* code, uint32_t count) {
  union bpf_attr attr = {.prog_type = type};
  attr.expected_attach_type = attach;
  attr.attach_btf_id = function ? btf_id(BTF_KIND_FUNC, function) : 0;
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = count;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static int attach(int program) {
  union bpf_attr attr = {.raw_tracepoint = {.prog_fd = (uint32_t)program}};
  return bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

static long run(int program) {
  char packet[64] = {0};
  union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program, .data_size_in = sizeof packet}};
  attr.test.data_in = (uintptr_t)packet;
  return bpf_call(BPF_PROG_TEST_RUN, &attr) == 0 ? (long)attr.test.retval : -errno;
}

static uint64_t misses_of(int program) {
  struct bpf_prog_info info = {0};
  union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)program, .info_len = sizeof info}};
  attr.info.info = (uintptr_t)&info;
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
  return info.recursion_misses;
}

// Where the function's `argument`th word is the map, adds one to the counter; `then` follows, or nothing.
static int load_watcher(const char* function, uint32_t how, int watched, int counter, const struct bpf_insn* then,
                        uint32_t more) {
  struct bpf_insn code[40] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 1, .off = 0},
      MAP(7, watched),
      {.code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = 6, .src_reg = 7, .off = (short)(9 + more)},
      COUNT_UP(counter),
  };
  uint32_t count = 13;
  for (uint32_t i = 0; i < more; ++i) code[count++] = then[i];
  code[count++] = (struct bpf_insn)SET(0, 0);
  code[count++] = (struct bpf_insn)EXIT;
  return load(BPF_PROG_TYPE_TRACING, how, function, code, count);
}

// What bpf() does to an element.
static void commands(void) {
  const int map = map_of(BPF_MAP_TYPE_HASH, 4, 0), other = map_of(BPF_MAP_TYPE_HASH, 4, 0), counter = counter_map();
  const int array = map_of(BPF_MAP_TYPE_ARRAY, 4, 0);
  const struct {
    const char* function;
    uint32_t how;
    int map, command;
  } watched[] = {
      {"htab_map_update_elem", BPF_TRACE_FENTRY, map, BPF_MAP_UPDATE_ELEM},
      {"htab_map_lookup_elem", BPF_TRACE_FEXIT, map, BPF_MAP_LOOKUP_ELEM},
      {"htab_map_delete_elem", BPF_TRACE_FEXIT, map, BPF_MAP_DELETE_ELEM},
      {"array_map_update_elem", BPF_TRACE_FENTRY, array, BPF_MAP_UPDATE_ELEM},
      {"array_map_lookup_elem", BPF_TRACE_FEXIT, array, BPF_MAP_LOOKUP_ELEM},
  };
  for (uint32_t i = 0; i < LENGTH(watched); ++i) {
    uint64_t value = 5;
    const long before = value_of(counter, 0);
    const int program = load_watcher(watched[i].function, watched[i].how, watched[i].map, counter, NULL, 0);
    const int link = attach(program);
    if (program < 0 || link < 0) printf("%s: %d %d errno %d\n", watched[i].function, program, link, errno);
    const long same = element(watched[i].command, watched[i].map, 1, &value);
    element(BPF_MAP_UPDATE_ELEM, other, 1, &value);
    element(BPF_MAP_DELETE_ELEM, other, 1, &value);
    close(link);
    element(watched[i].command, watched[i].map, 1, &value);
    const long after = value_of(counter, 0);
    if (same != 0 || after - before != 1) printf("%s: %ld, passed %ld times\n", watched[i].function, same, after - before);
    close(program);
  }
  close(map), close(other), close(counter), close(array);
}

// What a program's lookup calls directly, and bpf() does not come by.
static void lookup(void) {
  const int map = map_of(BPF_MAP_TYPE_HASH, 4, 0), counter = counter_map();
  const struct bpf_insn code[] = {ELEMENT(map, 1), SET(0, 6), EXIT};
  const int caller = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, NULL, code, LENGTH(code));
  const int program = load_watcher("__htab_map_lookup_elem", BPF_TRACE_FENTRY, map, counter, NULL, 0);
  const int helper = load_watcher("bpf_map_lookup_elem", BPF_TRACE_FENTRY, map, counter, NULL, 0);
  const int link = attach(program), other = attach(helper);
  CHECK(caller >= 0 && link >= 0 && other >= 0);
  uint64_t value;
  CHECK(element(BPF_MAP_LOOKUP_ELEM, map, 1, &value) == -ENOENT && value_of(counter, 0) == 0);
  CHECK(run(caller) == 6 && value_of(counter, 0) == 1);
  close(link), close(other), close(caller), close(program), close(helper), close(map), close(counter);
}

// A program that does what it watches comes to itself, and is not run.
static void recursion(void) {
  const int map = map_of(BPF_MAP_TYPE_HASH, 4, 0), counter = counter_map();
  const struct bpf_insn again[] = {
      {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 1}, MAP(1, map), MOVE(2, 10), ADD(2, -4),
      HELP(map_delete_elem)};
  const int program = load_watcher("htab_map_delete_elem", BPF_TRACE_FENTRY, map, counter, again, LENGTH(again));
  const int link = attach(program);
  CHECK(program >= 0 && link >= 0);
  CHECK(element(BPF_MAP_DELETE_ELEM, map, 1, NULL) == -ENOENT);
  CHECK(element(BPF_MAP_DELETE_ELEM, map, 1, NULL) == -ENOENT);
  CHECK(value_of(counter, 0) == 2);
  CHECK(misses_of(program) == 2);
  close(link), close(program), close(map), close(counter);
}

// In the middle of an update the bucket is locked, for this CPU too.
static void update_in_update(void) {
  const int map = map_of(BPF_MAP_TYPE_HASH, 1, 0), result = map_of(BPF_MAP_TYPE_ARRAY, 1, 0);
  const int pid = getpid();
  const struct bpf_insn code[] = {
      HELP(get_current_pid_tgid),
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 19, .imm = pid},
      {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 0},
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -16, .imm = 1},
      MAP(1, map), MOVE(2, 10), ADD(2, -4), MOVE(3, 10), ADD(3, -16), SET(4, 0),
      HELP(map_update_elem),
      MOVE(6, 0),
      ELEMENT(result, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 1},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 0, .src_reg = 6},
      SET(0, 0), EXIT};
  const int program = load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "lookup_elem_raw", code, LENGTH(code));
  const int link = attach(program);
  CHECK(program >= 0 && link >= 0);
  uint64_t value = 7;
  CHECK(element(BPF_MAP_UPDATE_ELEM, map, 0, &value) == 0);
  CHECK((int)value_of(result, 0) == -EBUSY);
  CHECK(value_of(map, 0) == 7);
  close(link), close(program), close(map), close(result);
}

// Functions of helpers, in the run of another program; kprobes there too, but not within map commands.
static void helpers(void) {
  const int counter = counter_map(), map = map_of(BPF_MAP_TYPE_HASH, 4, 0);
  const struct bpf_insn caller_code[] = {HELP(ktime_get_ns), {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2},
                                         SET(0, 3), EXIT, SET(0, 4), EXIT};
  const int caller = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, NULL, caller_code, LENGTH(caller_code));
  const int watcher = load_counter(BPF_PROG_TYPE_KPROBE, counter, getpid());
  const struct bpf_insn code[] = {COUNT_UP(counter), SET(0, 0), EXIT};
  const int entry = load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "bpf_ktime_get_ns", code, LENGTH(code));
  CHECK(caller >= 0 && watcher >= 0 && entry >= 0);
  CHECK(run(caller) == 3);
  const int link = attach(entry);
  CHECK(link >= 0 && run(caller) == 3 && value_of(counter, 0) == 1);
  const int later = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, NULL, caller_code, LENGTH(caller_code));
  CHECK(run(later) == 3 && value_of(counter, 0) == 2);
  close(link);
  CHECK(run(caller) == 3 && value_of(counter, 0) == 2);

  FILE* file = fopen("/sys/bus/event_source/devices/kprobe/type", "r");
  unsigned type = 0;
  CHECK(file && fscanf(file, "%u", &type) == 1);
  if (file) fclose(file);
  const char* functions[] = {"bpf_ktime_get_ns", "htab_map_update_elem"};
  const long expected[] = {1, 0};
  for (int i = 0; i < 2; ++i) {
    struct perf_event_attr event = {.type = type, .size = sizeof event};
    event.kprobe_func = (uintptr_t)functions[i];
    const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    CHECK(fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, watcher) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0);
    const long before = value_of(counter, 0);
    uint64_t value = 1;
    CHECK(run(caller) == 3);
    CHECK(element(BPF_MAP_UPDATE_ELEM, map, 1, &value) == 0);
    close(fd);
    const long passed = value_of(counter, 0) - before;
    if (passed != expected[i]) printf("kprobe %s: %ld times\n", functions[i], passed);
  }
  close(caller), close(later), close(watcher), close(entry), close(counter), close(map);
}

// A word of the kernel's struct of a map, by way of a program that reads it.
static long read_member(int map, const char* structure, const char* member, uint32_t size) {
  const int offset = btf_offset(structure, member);
  const struct bpf_insn code[] = {
      MAP(1, map),
      {.code = (uint8_t)(BPF_LDX | BPF_MEM | size), .dst_reg = 0, .src_reg = 1, .off = (short)offset}, EXIT};
  const int program = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, NULL, code, LENGTH(code));
  if (program < 0) {
    const int error = errno;
    printf("%s.%s: errno %d\n", structure, member, error);
    return -1;
  }
  const long value = run(program);
  close(program);
  return value;
}

static void maps(void) {
  const int hash = map_of(BPF_MAP_TYPE_HASH, 100, BPF_F_NO_PREALLOC), array = map_of(BPF_MAP_TYPE_ARRAY, 5, 0);
  const int plain = map_of(BPF_MAP_TYPE_HASH, 100, 0);
  uint64_t value = 1;
  for (uint32_t key = 0; key < 7; ++key) {
    CHECK(element(BPF_MAP_UPDATE_ELEM, hash, key, &value) == 0);
    CHECK(element(BPF_MAP_UPDATE_ELEM, plain, key, &value) == 0);
  }
  CHECK(element(BPF_MAP_DELETE_ELEM, hash, 3, NULL) == 0);
  CHECK(read_member(hash, "bpf_map", "map_type", BPF_W) == BPF_MAP_TYPE_HASH);
  CHECK(read_member(hash, "bpf_map", "key_size", BPF_W) == 4);
  CHECK(read_member(hash, "bpf_map", "value_size", BPF_W) == 8);
  CHECK(read_member(hash, "bpf_map", "max_entries", BPF_W) == 100);
  CHECK(read_member(hash, "bpf_map", "map_flags", BPF_W) == BPF_F_NO_PREALLOC);
  CHECK(read_member(hash, "bpf_map", "id", BPF_W) > 0);
  CHECK(read_member(hash, "bpf_htab", "n_buckets", BPF_W) == 128);
  CHECK(read_member(hash, "bpf_htab", "elem_size", BPF_W) == 64);
  CHECK(read_member(hash, "bpf_htab", "count", BPF_W) == 6);
  CHECK(read_member(plain, "bpf_htab", "count", BPF_W) == 0);
  CHECK(read_member(array, "bpf_array", "elem_size", BPF_W) == 8);
  CHECK(read_member(array, "bpf_array", "index_mask", BPF_W) == 7);
  CHECK(read_member(array, "bpf_map", "bypass_spec_v1", BPF_B) == 1);
  CHECK(read_member(array, "bpf_map", "numa_node", BPF_W) == 0xffffffff);
  close(hash), close(array), close(plain);
}

int main(void) {
  const int probe = counter_map();
  if (!is_claimed_kernel() || !is_open(probe)) {
    if (demanded()) printf("6.1: %d, map %d\n", is_claimed_kernel(), probe);
    return 0;
  }
  close(probe);
  commands();
  lookup();
  recursion();
  update_in_update();
  helpers();
  maps();
  return 0;
}
