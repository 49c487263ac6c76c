// SPDX-License-Identifier: Apache-2.0
// Programs on functions of a program: fentry and fexit see what it is called with and what it returns, a freplace program
// runs in its place. As root on the claimed kernel it says the same.
#include <linux/btf.h>

#include "counter.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define NAMES "\0int\0__sk_buff\0len\0whole\0ctx\0add\0a\0b\0wide\0long"
enum { kInt = 1, kSkb, kSkbPointer, kWholeProto, kWhole, kAddProto, kAdd, kLong, kWideProto, kWide };
enum { kIntName = 1, kSkbName = 5, kLenName = 15, kWholeName = 19, kCtxName = 25, kAddName = 29, kAName = 33, kBName = 35,
       kWideName = 37, kLongName = 42 };
#define INFO(kind, count) ((uint32_t)(kind) << 24 | (count))

static int load_btf(void) {
  struct {
    struct btf_header header;
    uint32_t types[56];
    char names[sizeof NAMES];
  } btf = {
      .header = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(struct btf_header)},
      .types = {kIntName, INFO(BTF_KIND_INT, 0), 4, BTF_INT_SIGNED << 24 | 32,
                kSkbName, INFO(BTF_KIND_STRUCT, 1), 4, kLenName, kInt, 0,
                0, INFO(BTF_KIND_PTR, 0), kSkb,
                0, INFO(BTF_KIND_FUNC_PROTO, 1), kInt, kCtxName, kSkbPointer,
                kWholeName, INFO(BTF_KIND_FUNC, BTF_FUNC_GLOBAL), kWholeProto,
                0, INFO(BTF_KIND_FUNC_PROTO, 2), kInt, kAName, kInt, kBName, kInt,
                kAddName, INFO(BTF_KIND_FUNC, BTF_FUNC_GLOBAL), kAddProto,
                kLongName, INFO(BTF_KIND_INT, 0), 8, BTF_INT_SIGNED << 24 | 64,
                0, INFO(BTF_KIND_FUNC_PROTO, 2), kInt, kAName, kLong, kBName, kInt,
                kWideName, INFO(BTF_KIND_FUNC, BTF_FUNC_GLOBAL), kWideProto},
      .names = NAMES,
  };
  uint32_t words = LENGTH(btf.types);
  while (words && btf.types[words - 1] == 0) --words;
  btf.header.type_len = words * 4;
  btf.header.str_off = btf.header.type_len;
  btf.header.str_len = sizeof btf.names;
  memmove((char*)btf.types + words * 4, btf.names, sizeof btf.names);
  union bpf_attr attr = {.btf = (uintptr_t)&btf, .btf_size = sizeof btf.header + words * 4 + sizeof btf.names};
  return bpf_call(BPF_BTF_LOAD, &attr);
}

static int btf;

static int load(uint32_t type, const struct bpf_insn* code, uint32_t count, const struct bpf_func_info* functions,
                uint32_t function_count, uint32_t attach, int target, uint32_t function) {
  union bpf_attr attr = {.prog_type = type};
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = count;
  attr.license = (uintptr_t) "GPL";
  attr.expected_attach_type = attach;
  if (functions) {
    attr.prog_btf_fd = (uint32_t)btf;
    attr.func_info = (uintptr_t)functions;
    attr.func_info_cnt = function_count;
    attr.func_info_rec_size = sizeof *functions;
  }
  attr.attach_prog_fd = (uint32_t)target;
  attr.attach_btf_id = function;
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// Returns add(3, 4).
static int load_target(void) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 3},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 4},
      {.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 0, .src_reg = 1},
      {.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = 0, .src_reg = 2},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const struct bpf_func_info functions[] = {{0, kWhole}, {4, kAdd}};
  return load(BPF_PROG_TYPE_SOCKET_FILTER, code, LENGTH(code), functions, 2, 0, 0, 0);
}

// Keeps the first words of its context.
static int load_watcher(int map, uint32_t attach, int target, uint32_t function) {
  struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      ELEMENT(map, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 8},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 0},
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1, .off = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 8},
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1, .off = 8},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = attach == BPF_TRACE_FEXIT ? 16 : 8},
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1, .off = 16},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
      {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .off = 24, .imm = BPF_ADD},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  return load(BPF_PROG_TYPE_TRACING, code, LENGTH(code), NULL, 0, attach, target, function);
}

// Multiplies instead; with the prototype of `as`.
static int load_replacement(int target, uint32_t function, uint32_t as) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 0, .src_reg = 1},
      {.code = BPF_ALU64 | BPF_MUL | BPF_X, .dst_reg = 0, .src_reg = 2},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const struct bpf_func_info main = {0, as};
  return load(BPF_PROG_TYPE_EXT, code, LENGTH(code), &main, 1, 0, target, function);
}

static int attach(int program) {
  union bpf_attr attr = {.raw_tracepoint = {.prog_fd = (uint32_t)program}};
  return bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

static int attach_to(int program, int target, uint32_t function) {
  union bpf_attr attr = {.link_create = {.prog_fd = (uint32_t)program, .target_fd = (uint32_t)target}};
  attr.link_create.target_btf_id = function;
  return bpf_call(BPF_LINK_CREATE, &attr);
}

static long run(int program) {
  char packet[64] = {0};
  union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program, .data_size_in = sizeof packet}};
  attr.test.data_in = (uintptr_t)packet;
  return bpf_call(BPF_PROG_TEST_RUN, &attr) == 0 ? (long)attr.test.retval : -1;
}

static int new_map(void) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 32, .max_entries = 1};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static int saw(int map, uint64_t one, uint64_t other, uint64_t third, uint64_t times) {
  uint32_t key = 0;
  uint64_t value[4] = {0};
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  CHECK(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0);
  const int right = (uint32_t)value[0] == one && (uint32_t)value[1] == other && (uint32_t)value[2] == third &&
                    value[3] == times;
  if (!right) printf("saw %d %d %d %lu times\n", (int)value[0], (int)value[1], (int)value[2], value[3]);
  return right;
}

static void watch(int target) {
  const int before = new_map(), after = new_map();
  const int entry = load_watcher(before, BPF_TRACE_FENTRY, target, kAdd);
  const int exit = load_watcher(after, BPF_TRACE_FEXIT, target, kAdd);
  CHECK(entry >= 0 && exit >= 0);
  const int entry_link = attach(entry), exit_link = attach(exit);
  CHECK(entry_link >= 0 && exit_link >= 0);
  CHECK(run(target) == 7);
  CHECK(saw(before, 3, 4, 4, 1) && saw(after, 3, 4, 7, 1));
  // What was loaded for a program is attached to it once.
  CHECK(attach(entry) == -1 && errno == EINVAL);
  const int other = load_replacement(target, kAdd, kAdd);
  CHECK(other >= 0 && attach(other) == -1 && errno == EBUSY);
  close(other);
  struct bpf_link_info info = {0};
  union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)exit_link, .info_len = sizeof info}};
  attr.info.info = (uintptr_t)&info;
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && info.type == BPF_LINK_TYPE_TRACING);
  CHECK(info.tracing.attach_type == BPF_TRACE_FEXIT && info.tracing.target_btf_id == kAdd);
  close(entry_link);
  CHECK(run(target) == 7);
  CHECK(saw(before, 3, 4, 4, 1) && saw(after, 3, 4, 7, 2));
  close(exit_link);
  CHECK(run(target) == 7 && saw(after, 3, 4, 7, 2));
  const int fds[] = {entry, exit, before, after};
  for (int i = 0; i < 4; ++i) close(fds[i]);
}

static void replace(int target, int other_target) {
  const int replacement = load_replacement(target, kAdd, kAdd), again = load_replacement(target, kAdd, kAdd);
  CHECK(replacement >= 0 && again >= 0);
  const int link = attach(replacement);
  CHECK(link >= 0 && run(target) == 12);
  CHECK(attach(again) == -1 && errno == EBUSY);
  const int map = new_map(), watcher = load_watcher(map, BPF_TRACE_FENTRY, target, kAdd);
  CHECK(watcher >= 0 && attach(watcher) == -1 && errno == EBUSY);
  // It is another program, and can be watched as one.
  const int of_replacement = load_watcher(map, BPF_TRACE_FEXIT, replacement, kAdd);
  const int watched = attach(of_replacement);
  CHECK(of_replacement >= 0 && watched >= 0 && run(target) == 12 && saw(map, 3, 4, 12, 1));
  close(watched);
  // Its second target has to be named.
  CHECK(attach(replacement) == -1 && errno == EINVAL);
  CHECK(attach_to(replacement, other_target, 0) == -1 && errno == EINVAL);
  CHECK(attach_to(replacement, other_target, kWhole) == -1 && errno == EINVAL);
  const int second = attach_to(replacement, other_target, kAdd);
  CHECK(second >= 0 && run(other_target) == 12 && run(target) == 12);
  close(link);
  CHECK(run(target) == 7 && run(other_target) == 12);
  close(second);
  CHECK(run(other_target) == 7);
  const int fds[] = {replacement, again, map, watcher, of_replacement};
  for (int i = 0; i < 5; ++i) close(fds[i]);
}

// A program whose function is replaced is not called from an array, nor the other way round.
static void in_array(int target) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 2};
  const int array = bpf_call(BPF_MAP_CREATE, &attr);
  uint32_t key = 1, value = target;
  union bpf_attr element = {.map_fd = (uint32_t)array};
  element.key = (uintptr_t)&key;
  union bpf_attr gone = element;
  element.value = (uintptr_t)&value;
  const int replacement = load_replacement(target, kAdd, kAdd);
  CHECK(array >= 0 && replacement >= 0 && bpf_call(BPF_MAP_UPDATE_ELEM, &element) == 0);
  CHECK(attach(replacement) == -1 && errno == EBUSY);
  CHECK(bpf_call(BPF_MAP_DELETE_ELEM, &gone) == 0);
  const int link = attach(replacement);
  CHECK(link >= 0 && bpf_call(BPF_MAP_UPDATE_ELEM, &element) == -1 && errno == EBUSY);
  close(link);
  CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &element) == 0);
  close(replacement);
  close(array);
}

static void refused(int target) {
  CHECK(load_replacement(target, kAdd, kWide) == -1 && errno == EINVAL);
  CHECK(load_replacement(target, kWide, kWide) == -1 && errno == EINVAL);
  CHECK(load_replacement(0, kAdd, kAdd) == -1 && errno == EINVAL);
  const int map = new_map();
  CHECK(load_watcher(map, BPF_MODIFY_RETURN, target, kAdd) == -1 && errno == EINVAL);
  const int watcher = load_watcher(map, BPF_TRACE_FENTRY, target, kAdd);
  CHECK(watcher >= 0 && load_watcher(map, BPF_TRACE_FENTRY, watcher, kAdd) == -1 && errno == EINVAL);
  close(watcher);
  close(map);
}

// Root's kernel may be one without trampolines.
static int can_watch(int target) {
  const int map = new_map(), watcher = load_watcher(map, BPF_TRACE_FENTRY, target, kAdd);
  close(map);
  return watcher >= 0 && close(watcher) == 0;
}

int main(void) {
  btf = load_btf();
  if (!is_open(btf)) {
    if (demanded()) printf("no BTF, errno %d\n", errno);
    return 0;
  }
  const int target = load_target(), other_target = load_target();
  if (target < 0 || other_target < 0) {
    if (demanded()) printf("no target, errno %d\n", errno);
    return 0;
  }
  CHECK(run(target) == 7);
  if (!can_watch(target) && !demanded()) return 0;
  watch(target);
  replace(target, other_target);
  refused(target);
  in_array(target);
  return 0;
}
