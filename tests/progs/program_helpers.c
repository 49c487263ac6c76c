// SPDX-License-Identifier: Apache-2.0
// What helpers do beyond their program: exec that is secure, hashes of files, keys, build ids in stacks, the ends of XDP
// packets with frags, live frames. As root on the claimed kernel it says the same; on others, nothing.
#include "kernel_btf.h"

#include <elf.h>
#include <linux/keyctl.h>
#include <sys/auxv.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define MAP(reg, fd) {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = reg, .src_reg = BPF_PSEUDO_MAP_FD, .imm = fd}, {.code = 0}
#define MOVE(to, from) {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from}
#define SET(reg, number) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .imm = number}
#define ADD(reg, number) {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = reg, .imm = number}
#define LOAD(to, from, at) {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = to, .src_reg = from, .off = at}
#define STORE(to, at, from) {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = to, .src_reg = from, .off = at}
#define HELP(helper) {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_##helper}
#define CALL(id) {.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .imm = (int)(id)}
#define EXIT {.code = BPF_JMP | BPF_EXIT}

static int load(uint32_t type, uint32_t attach, const char* function, uint32_t flags, const struct bpf_insn* code,
                uint32_t count) {
  union bpf_attr attr = {.prog_type = type, .prog_flags = flags};
  attr.expected_attach_type = attach;
  attr.attach_btf_id = function ? btf_id(BTF_KIND_FUNC, function) : 0;
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = count;
  attr.license = (uintptr_t) "GPL";
  const int fd = bpf_call(BPF_PROG_LOAD, &attr);
  if (fd < 0) printf("%s: not loaded, errno %d\n", function ? function : "program", errno);
  return fd;
}

static int attach(int program) {
  union bpf_attr attr = {.raw_tracepoint = {.prog_fd = (uint32_t)program}};
  const int fd = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr);
  if (fd < 0) printf("not attached, errno %d\n", errno);
  return fd;
}

static int new_array(uint32_t size) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = size, .max_entries = 1};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static void read_map(int map, uint32_t key, void* value) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  CHECK(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0);
}

// What the program says of itself when it is started by exec.
static int ask_child(void) {
  const pid_t pid = fork();
  if (pid == 0) {
    char* const words[] = {"program_helpers", "secure", NULL};
    execv("/proc/self/exe", words);
    _exit(99);
  }
  return ended(pid);
}

static void secure_exec(void) {
  CHECK(ask_child() == 0);
  for (int flags = 0; flags <= 2; ++flags) {
    const int map = new_array(8);
    const struct bpf_insn code[] = {LOAD(1, 1, 0), SET(2, flags), HELP(bprm_opts_set), MOVE(6, 0), ELEMENT(map, 0),
                                    {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 1}, STORE(0, 0, 6), SET(0, 0), EXIT};
    const int program = load(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_bprm_creds_for_exec", 0, code, LENGTH(code));
    const int link = attach(program);
    CHECK(ask_child() == (flags == 1));
    int64_t result = 1;
    read_map(map, 0, &result);
    CHECK(result == (flags == 2 ? -EINVAL : 0));
    close(link), close(program), close(map);
  }
  CHECK(ask_child() == 0);
}

// The hash of the program that is executed, and how the helper names it.
static void hashes(void) {
  const int map = new_array(48), file = btf_offset("linux_binprm", "file"), inode = btf_offset("file", "f_inode");
  const struct bpf_insn code[] = {
      LOAD(6, 1, 0), ELEMENT(map, 0), {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 14}, MOVE(7, 0),
      LOAD(1, 6, (short)file), MOVE(2, 7), ADD(2, 16), SET(3, 32), HELP(ima_file_hash), STORE(7, 0, 0),
      LOAD(1, 6, (short)file), LOAD(1, 1, (short)inode), MOVE(2, 10), ADD(2, -40), SET(3, 32), HELP(ima_inode_hash),
      STORE(7, 8, 0), SET(0, 0), EXIT};
  const int program = load(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_bprm_committed_creds", BPF_F_SLEEPABLE, code, LENGTH(code));
  const int link = attach(program);
  CHECK(ask_child() == 0);
  close(link), close(program);
  struct {
    int64_t algorithm, of_inode;
    unsigned char hash[32];
  } found = {0};
  read_map(map, 0, &found);
  CHECK(found.algorithm == 4 && found.of_inode == -EOPNOTSUPP);
  char shown[65] = {0}, expected[65] = {0};
  for (int i = 0; i < 32; ++i) sprintf(shown + 2 * i, "%02x", found.hash[i]);
  char command[100];
  snprintf(command, sizeof command, "sha256sum /proc/%d/exe", getpid());
  FILE* sum = popen(command, "r");
  CHECK(sum && fscanf(sum, "%64s", expected) == 1);
  if (sum) pclose(sum);
  if (strcmp(shown, expected) != 0) printf("hash %s, not %s\n", shown, expected);
  close(map);
}

static long look_up_key(int serial, int flags, int system) {
  const int map = new_array(8), pid = getpid();
  const uint32_t find = btf_id(BTF_KIND_FUNC, system ? "bpf_lookup_system_key" : "bpf_lookup_user_key");
  const uint32_t put = btf_id(BTF_KIND_FUNC, "bpf_key_put");
  const struct bpf_insn code[] = {
      HELP(get_current_pid_tgid), {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 16, .imm = pid},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = serial}, SET(2, flags), CALL(find), SET(6, 2),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 3}, MOVE(1, 0), CALL(put), SET(6, 1),
      ELEMENT(map, 0), {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 1}, STORE(0, 0, 6), SET(0, 0), EXIT};
  const int program = load(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_bpf", BPF_F_SLEEPABLE, code, LENGTH(code));
  const int link = attach(program);
  int64_t found = 0;
  read_map(map, 0, &found);
  close(link), close(program), close(map);
  return found == 1;
}

static void keys(void) {
  const long mine = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1);
  if (mine < 0) return;  // whoever keeps keys from us keeps them from programs, too
  CHECK(look_up_key((int)mine, 0, 0));
  CHECK(look_up_key(KEY_SPEC_PROCESS_KEYRING, 0, 0));
  CHECK(!look_up_key(KEY_SPEC_THREAD_KEYRING, 0, 0));
  CHECK(look_up_key(KEY_SPEC_THREAD_KEYRING, 1, 0));
  CHECK(!look_up_key(0x7ffffff0, 0, 0));
  CHECK(!look_up_key((int)mine, 4, 0));
  for (int id = 0; id < 4; ++id) CHECK(look_up_key(id, 0, 1) == (id < 3));
}

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

// The build id of this file, as the linker put it in.
static int own_build_id(unsigned char* id) {
  const char* file = __ehdr_start;
  const Elf64_Phdr* segments = (const void*)(file + sizeof(Elf64_Ehdr));
  for (int n = 0; n < ((const Elf64_Ehdr*)file)->e_phnum; ++n) {
    if (segments[n].p_type != PT_NOTE) continue;
    for (uint64_t at = 0; at < segments[n].p_filesz;) {
      const Elf64_Nhdr* note = (const void*)(file + segments[n].p_offset + at);
      if (note->n_type == NT_GNU_BUILD_ID) return memcpy(id, (const char*)(note + 1) + 4, note->n_descsz), (int)note->n_descsz;
      at += sizeof *note + ((note->n_namesz + 3) & ~3u) + ((note->n_descsz + 3) & ~3u);
    }
  }
  return 0;
}

// A stack by build ids, from a map and into the program's own memory.
static void build_ids(void) {
  enum { kDepth = 4 };
  unsigned char own[20] = {0};
  if (own_build_id(own) == 0) return;
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_STACK_TRACE, .key_size = 4, .max_entries = 16};
  attr.value_size = kDepth * sizeof(struct bpf_stack_build_id);
  attr.map_flags = BPF_F_STACK_BUILD_ID;
  const int stacks = bpf_call(BPF_MAP_CREATE, &attr), map = new_array(8 + kDepth * sizeof(struct bpf_stack_build_id));
  const int pid = getpid();
  const struct bpf_insn code[] = {
      MOVE(6, 1), HELP(get_current_pid_tgid), {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 20, .imm = pid}, ELEMENT(map, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 13}, MOVE(7, 0), MOVE(1, 6), MAP(2, stacks),
      SET(3, BPF_F_USER_STACK | BPF_F_REUSE_STACKID), HELP(get_stackid), STORE(7, 0, 0), MOVE(1, 6), MOVE(2, 7), ADD(2, 8),
      SET(3, kDepth * sizeof(struct bpf_stack_build_id)), SET(4, BPF_F_USER_STACK | BPF_F_USER_BUILD_ID), HELP(get_stack),
      SET(0, 0), EXIT};
  const int program = load(BPF_PROG_TYPE_TRACEPOINT, 0, NULL, 0, code, LENGTH(code));
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .config = event_id("sys_enter_getppid")};
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  CHECK(fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0);
  // By an instruction of our own, so that it is this program's build id that is asked for.
  long parent;
  __asm__ volatile("syscall" : "=a"(parent) : "a"(SYS_getppid) : "rcx", "r11", "memory");
  close(fd), close(program);
  struct {
    int64_t id;
    struct bpf_stack_build_id stack[kDepth];
  } found = {0};
  struct bpf_stack_build_id kept[kDepth] = {0};
  read_map(map, 0, &found);
  CHECK(found.id >= 0);
  read_map(stacks, (uint32_t)found.id, kept);
  for (int i = 0; i < 2; ++i) {
    const struct bpf_stack_build_id* each = i ? kept : found.stack;
    CHECK(each->status == BPF_STACK_BUILD_ID_VALID);
    CHECK(memcmp(each->build_id, own, sizeof own) == 0 || each->status != BPF_STACK_BUILD_ID_VALID);
    CHECK(each->offset == found.stack[0].offset);
  }
  close(map), close(stacks);
}

// Moves the end of the packet by what its first word says, and answers with 2 where that succeeds.
static int load_adjuster(void) {
  const struct bpf_insn code[] = {
      MOVE(6, 1), {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 1, .off = 4}, MOVE(4, 2), ADD(4, 4), SET(0, 0),
      {.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 4, .src_reg = 3, .off = 5},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 2, .off = 0}, MOVE(1, 6), HELP(xdp_adjust_tail),
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 1}, SET(0, 2), EXIT};
  return load(BPF_PROG_TYPE_XDP, BPF_XDP, NULL, BPF_F_XDP_HAS_FRAGS, code, LENGTH(code));
}

static long adjust(int program, uint32_t size, int by, uint32_t* size_out, char* out) {
  static char packet[20000];
  for (uint32_t i = 0; i < size; ++i) packet[i] = (char)(i / 256 + 1);
  memcpy(packet, &by, sizeof by);
  union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program, .data_size_in = size, .data_size_out = 20000}};
  attr.test.data_in = (uintptr_t)packet;
  attr.test.data_out = (uintptr_t)out;
  if (bpf_call(BPF_PROG_TEST_RUN, &attr) != 0) return -errno;
  *size_out = attr.test.data_size_out;
  return attr.test.retval;
}

static void tails(void) {
  static char out[20000];
  const int program = load_adjuster();
  const struct {
    uint32_t size;
    int by;
    long answer;
    uint32_t left;
  } cases[] = {
      {9000, -10, 2, 8990},   {9000, -5480, 2, 3520}, {9000, -5500, 2, 3500}, {9000, -8986, 2, 14}, {9000, -8987, (uint32_t)-EINVAL, 9000},
      {9000, 10, 2, 9010},    {9000, 2712, 2, 11712}, {9000, 2713, (uint32_t)-EINVAL, 9000}, {7616, 1, (uint32_t)-EINVAL, 7616},
      {9000, 0, 2, 9000},     {9000, -1000000, (uint32_t)-EINVAL, 9000}, {100, 3000, 2, 3100}, {100, -87, (uint32_t)-EINVAL, 100}};
  for (uint32_t i = 0; i < LENGTH(cases); ++i) {
    uint32_t left = 0;
    memset(out, 0x55, sizeof out);
    const long answer = adjust(program, cases[i].size, cases[i].by, &left, out);
    const char last = left ? out[left - 1] : 0, kept = (char)((left - 1) / 256 + 1);
    const int right = last == (left > cases[i].size ? 0 : kept) && out[left] == 0x55;
    if (answer != cases[i].answer || left != cases[i].left || !right)
      printf("%u by %d: %ld, %u left, last %d\n", cases[i].size, cases[i].by, answer, left, last);
  }
  close(program);
}

static void live_frames(void) {
  const struct bpf_insn code[] = {SET(0, 1), EXIT};
  const int program = load(BPF_PROG_TYPE_XDP, BPF_XDP, NULL, 0, code, LENGTH(code));
  char packet[4000] = {0};
  union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program, .data_size_in = 64, .repeat = 300}};
  attr.test.data_in = (uintptr_t)packet;
  attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == 0 && attr.test.retval == 0 && attr.test.data_size_out == 64);
  attr.test.batch_size = 256;
  attr.test.data_size_out = 0;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == 0);
  attr.test.batch_size = 257;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == -1 && errno == E2BIG);
  attr.test.batch_size = 0;
  attr.test.data_size_in = 3368;
  attr.test.data_size_out = 0;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == 0);
  attr.test.data_size_in = 3369;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == -1 && errno == EINVAL);
  close(program);
}

int main(int argc, char** argv) {
  (void)argv;
  if (argc > 1) return (int)getauxval(AT_SECURE);
  const int probe = counter_map();
  if (!is_claimed_kernel() || !is_open(probe)) {
    if (demanded()) printf("6.1: %d, map %d\n", is_claimed_kernel(), probe);
    return 0;
  }
  close(probe);
  secure_exec();
  hashes();
  keys();
  build_ids();
  tails();
  live_frames();
  return 0;
}
