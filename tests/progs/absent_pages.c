// SPDX-License-Identifier: Apache-2.0
// What a program sees of memory that its process has not touched yet: nothing, unless it may sleep. And where it can write:
// not to pages that are to be copied first.
#include "probe.h"

enum { kPage = 4096, kReads = 4 };

__attribute__((noipa, noinline)) static void look(const void* address) {
  __asm__ volatile("" : : "r"(address));
}

// Reads 8 bytes at look()'s argument in each way, one after the other; the results go into the map.
static int load_reader(int map) {
  enum { kFirstArgument = 112 };  // pt_regs::rdi
#define READ(helper, at)                                                              \
  {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10},                 \
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = -16},                \
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 8},                  \
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 6},              \
      {.code = BPF_JMP | BPF_CALL, .imm = helper}, {                                  \
    .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 0, .off = 8 * (at)   \
  }
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 1, .off = kFirstArgument},
      ELEMENT(map, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 6 * kReads + 1},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0},
      READ(BPF_FUNC_probe_read_user, 0),
      READ(BPF_FUNC_probe_read_user_str, 1),
      READ(BPF_FUNC_copy_from_user, 2),
      READ(BPF_FUNC_probe_read_user, 3),
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
#undef READ
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_KPROBE, .prog_flags = BPF_F_SLEEPABLE};
  attr.insn_cnt = sizeof code / sizeof code[0];
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

__attribute__((noipa, noinline)) static void mark(void* address) {
  __asm__ volatile("" : : "r"(address) : "memory");
}

// Writes a byte at mark()'s argument.
static int load_writer(void) {
  enum { kFirstArgument = 112 };  // pt_regs::rdi
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = kFirstArgument},
      {.code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = 10, .off = -1, .imm = 42},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -1},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 1},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_write_user},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_KPROBE};
  attr.insn_cnt = sizeof code / sizeof code[0];
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static int writer = -1;

static void attach_writer(void) {
  char path[400];
  const uint64_t offset = file_offset(mark, path);
  const int program = load_writer();
  const int fd = program < 0 ? -1 : open_uprobe(kOnlyUs, path, offset, 0, 0);
  if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0) writer = fd;
  else if (demanded()) printf("cannot write: program %d, event %d, errno %d\n", program, fd, errno);
}

// 1 when the program wrote, or did not, as it should.
static int written(void* address, int expected) {
  const char before = *(volatile char*)address;
  mark(address);
  const char after = *(volatile char*)address;
  return writer < 0 ? !demanded() : (after == 42 && before != 42) == expected;
}

static void write_pages(int file) {
  const int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  char* const own = mmap(NULL, 3 * kPage, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  char* const of_file = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  char* const shared = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(own != MAP_FAILED && of_file != MAP_FAILED && shared != MAP_FAILED);
  CHECK(madvise(own, 3 * kPage, MADV_NOHUGEPAGE) == 0);
  char* const forked = own + kPage;
  char* const protected = own + 2 * kPage;
  own[0] = forked[0] = protected[0] = shared[0] = 1;
  printf("written to before %d, shared %d\n", written(own, 1), written(shared, 1));
  char* const zeroes = mmap(NULL, kPage, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  printf("zeroes %d, private page of a file %d\n", written(zeroes, 0), written(of_file, 0));
  of_file[1] = 2;
  printf("a copy of it %d\n", written(of_file, 1));
  CHECK(mprotect(protected, kPage, PROT_READ) == 0);
  int both[2];
  CHECK(pipe(both) == 0);
  const pid_t child = fork();
  char byte = 0;
  if (child == 0) {
    close(both[1]);
    _exit(read(both[0], &byte, 1) != 0 || forked[0] != 1);
  }
  printf("read-only %d, shared with a child %d", written(protected, 0), written(forked, 0));
  close(both[1]);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  forked[1] = 2;
  printf(", which sees %d, copied since %d\n", status, written(forked, 1));
}

static int map = -1, event = -1;

static void attach(void) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8 * kReads, .max_entries = 1};
  map = bpf_call(BPF_MAP_CREATE, &attr);
  const int program = map < 0 ? -1 : load_reader(map);
  char path[400];
  const uint64_t offset = file_offset(look, path);
  const int fd = program < 0 ? -1 : open_uprobe(kOnlyUs, path, offset, 0, 0);
  if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0) event = fd;
  else if (demanded()) printf("cannot probe: map %d, program %d, event %d, errno %d\n", map, program, fd, errno);
}

// 1 when what each way gave is what the kernel gives.
static int seen(const void* address, const long expected[kReads]) {
  look(address);
  if (event < 0) return !demanded();
  uint32_t key = 0;
  long value[kReads] = {0};
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  CHECK(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0);
  if (value[1] > 0) value[1] = 0;  // what an empty string's length is has changed
  const int right = memcmp(value, expected, sizeof value) == 0;
  if (!right) printf("got %ld %ld %ld %ld\n", value[0], value[1], value[2], value[3]);
  return right;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  attach();
  const int file = open("/proc/self/exe", O_RDONLY);
  char* const mapped[] = {mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                          mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0)};
  const char* const names[] = {"anonymous", "file"};
  for (int i = 0; i < 2; ++i) {
    const long absent[kReads] = {-EFAULT, -EFAULT, 0, 0}, present[kReads] = {0, 0, 0, 0};
    char* const page = mapped[i];
    CHECK(page != MAP_FAILED && madvise(page, 2 * kPage, MADV_NOHUGEPAGE) == 0);
    const int first = seen(page, absent), again = seen(page, present);
    CHECK(madvise(page, 2 * kPage, MADV_DONTNEED) == 0);
    const int dropped = seen(page, absent);
    CHECK(madvise(page, 2 * kPage, MADV_DONTNEED) == 0);
    *(volatile char*)page;
    const int touched = seen(page, present);
    printf("%s: not touched %d, brought by a copy %d, dropped %d, touched %d\n", names[i], first, again, dropped, touched);
  }
  const long nowhere[] = {-EFAULT, -EFAULT, -EFAULT, -EFAULT};
  munmap(mapped[0], kPage);
  printf("nothing there: %d\n", seen(mapped[0], nowhere));
  attach_writer();
  write_pages(file);
  return 0;
}
