// SPDX-License-Identifier: Apache-2.0
// Hard case 39: more than there is. What no kernel could allocate is refused as the kernel refuses it, a hundred thousand
// objects are made and gone again, memory that is given back is there for the next, a map of maps changes while
// programs look into it, and an inode keeps its value, however many others get one.
#include "output.h"

#include <linux/btf.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

enum { kLargestBtf = 16 << 20, kObjects = 100000, kPrograms = 50, kRuns = 2000, kRounds = 24, kInodes = 20000 };

static int map_of(const union bpf_attr* options) {
  union bpf_attr attr = *options;
  const int fd = bpf_call(BPF_MAP_CREATE, &attr);
  if (fd < 0) return -errno;
  close(fd);
  return 0;
}

static void too_much(void) {
  const struct {
    const char* what;
    union bpf_attr attr;
    int expected;
  } cases[] = {
      {"array of a tebibyte", {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 1 << 20, .max_entries = 1 << 20}, -ENOMEM},
      {"array of large values", {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 1u << 31, .max_entries = 1}, -E2BIG},
      {"hash of a tebibyte", {.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 1 << 20, .max_entries = 1 << 20}, -ENOMEM},
      {"LRU hash of a tebibyte", {.map_type = BPF_MAP_TYPE_LRU_HASH, .key_size = 4, .value_size = 1 << 20, .max_entries = 1 << 20}, -ENOMEM},
      {"hash of large values", {.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 5 << 20, .max_entries = 1}, -E2BIG},
      {"hash of all buckets",
       {.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 0xffffffff, .map_flags = BPF_F_NO_PREALLOC},
       -E2BIG},
      {"queue of a tebibyte", {.map_type = BPF_MAP_TYPE_QUEUE, .value_size = 1 << 20, .max_entries = 1 << 20}, -ENOMEM},
      {"queue of large values", {.map_type = BPF_MAP_TYPE_QUEUE, .value_size = 5 << 20, .max_entries = 1}, -E2BIG},
      {"per CPU array of large values", {.map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 32776, .max_entries = 1}, -E2BIG},
      {"stacks of all buckets",
       {.map_type = BPF_MAP_TYPE_STACK_TRACE, .key_size = 4, .value_size = 8, .max_entries = 0xffffffff},
       -E2BIG},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) say(cases[i].what, map_of(&cases[i].attr), cases[i].expected);
  union bpf_attr attr = {.btf = 1, .btf_size = kLargestBtf + 1};
  say("large BTF", bpf_call(BPF_BTF_LOAD, &attr) < 0 ? -errno : 0, -E2BIG);
}

static long put(int map, uint32_t key, const void* value) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  return bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == 0 ? 0 : -errno;
}

static long maps_after(uint32_t id) {
  union bpf_attr attr = {.start_id = id};
  long count = 0;
  while (bpf_call(BPF_MAP_GET_NEXT_ID, &attr) == 0) {
    attr = (union bpf_attr){.start_id = attr.next_id};
    ++count;
  }
  return count;
}

static uint32_t id_of(int map) {
  struct bpf_map_info info = {0};
  union bpf_attr attr = {.info.bpf_fd = (uint32_t)map, .info.info_len = sizeof info, .info.info = (uintptr_t)&info};
  return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 ? info.id : 0;
}

// Each is held by one of the programs alone; the ids go with those.
static void many_objects(void) {
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
  int programs[kPrograms];
  const int first = counter_map();
  const uint32_t before = there_is_bpf ? id_of(first) : 0;
  for (int i = 0; i < kPrograms; ++i) programs[i] = load_xdp(code, 2);
  long made = 0;
  for (; there_is_bpf && made < kObjects; ++made) {
    const int map = counter_map();
    union bpf_attr attr = {.prog_bind_map.prog_fd = (uint32_t)programs[made % kPrograms], .prog_bind_map.map_fd = (uint32_t)map};
    const long bound = bpf_call(BPF_PROG_BIND_MAP, &attr);
    close(map);
    if (bound != 0) break;
  }
  say("objects", made, kObjects);
  say("their ids", there_is_bpf ? maps_after(before) : 0, kObjects);
  for (int i = 0; i < kPrograms; ++i) close(programs[i]);
  close(first);
  long left = there_is_bpf ? maps_after(before) : 0;
  for (int i = 0; left && i < 600; ++i) sleep_ms(100), left = maps_after(before);  // a kernel frees at its leisure
  say("ids at the end", left, 0);
}

static void many_descriptors(void) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const struct rlimit low = {64, limit.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
  int maps[64], count = 0;
  while (there_is_bpf && count < 64 && (maps[count] = counter_map()) >= 0) ++count;
  say("no more descriptors", -errno, -EMFILE);
  while (count > 0) close(maps[--count]);
  const int again = counter_map();
  say("descriptors again", again >= 0, 1);
  close(again);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

// More than all memory, one after the other.
static void given_back(void) {
  struct sysinfo machine;
  CHECK(sysinfo(&machine) == 0);
  const unsigned long each = machine.totalram * machine.mem_unit / 16;
  const uint32_t entries = (uint32_t)(each >> 16);
  long made = 0, wrong = 0;
  for (; there_is_bpf && made < kRounds; ++made) {
    static char value[1 << 16];
    int map = new_map(BPF_MAP_TYPE_ARRAY, 4, sizeof value, entries);
    for (int i = 0; map < 0 && errno == ENOMEM && i < 50; ++i) sleep_ms(100), map = new_map(BPF_MAP_TYPE_ARRAY, 4, sizeof value, entries);
    if (map < 0) break;
    uint32_t last = entries - 1;
    memset(value, 1, sizeof value);
    union bpf_attr attr = {.map_fd = (uint32_t)map};
    attr.key = (uintptr_t)&last;
    attr.value = (uintptr_t)value;
    wrong += bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) != 0 || value[0] != 0 || value[sizeof value - 1] != 0;
    memset(value, 1, sizeof value);
    wrong += put(map, last, value) != 0;
    close(map);
  }
  say("arrays that fill a sixteenth of memory", made, kRounds);
  say("not zero at first", wrong, 0);
}

// Returns the value in the map that stands in the outer one.
static int load_look_inside(int outer) {
  const struct bpf_insn code[] = {
      ELEMENT(outer, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 6},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 1},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  return load_xdp(code, sizeof code / sizeof code[0]);
}

// The n-th map holds n: what a run finds was put there before it ended, and is not older than what was there when it began.
static void changed_while_run(void) {
  const int first = counter_map();
  const uint64_t one = 1;
  put(first, 0, &one);
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 1};
  attr.inner_map_fd = (uint32_t)first;
  const int outer = bpf_call(BPF_MAP_CREATE, &attr);
  put(outer, 0, &first);
  const int program = load_look_inside(outer);
  _Atomic long* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  _Atomic long *begun = shared, *done = shared + 1, *over = shared + 2;
  *begun = *done = 1;
  fflush(stdout);
  const pid_t writer = fork();
  if (writer == 0) {
    for (uint64_t n = 2; there_is_bpf && !*over; ++n) {
      const int map = counter_map();
      put(map, 0, &n);
      *begun = (long)n;
      if (put(outer, 0, &map) == 0) *done = (long)n;
      close(map);
    }
    _exit(0);
  }
  long wrong = 0;
  for (int i = 0; there_is_bpf && i < kRuns; ++i) {
    const long least = *done, found = run_program(program), most = *begun;
    wrong += found < least || found > most;
  }
  *over = 1;
  CHECK(ended(writer) == 0);
  say("runs that found a map of another time", wrong, 0);
  close(program), close(outer), close(first);
}

static int inode_storage(void) {
  const struct {
    struct btf_header header;
    uint32_t integer[4];
    char names[5];
  } blob = {.header = {.magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(struct btf_header), .type_len = sizeof blob.integer,
                       .str_off = sizeof blob.integer, .str_len = sizeof blob.names},
            .integer = {1, BTF_KIND_INT << 24, 4, BTF_INT_SIGNED << 24 | 32},
            .names = "\0int"};
  union bpf_attr attr = {.btf = (uintptr_t)&blob, .btf_size = sizeof blob.header + sizeof blob.integer + sizeof blob.names};
  const int btf = bpf_call(BPF_BTF_LOAD, &attr);
  attr = (union bpf_attr){.map_type = BPF_MAP_TYPE_INODE_STORAGE, .key_size = 4, .value_size = 4, .map_flags = BPF_F_NO_PREALLOC};
  attr.btf_fd = (uint32_t)btf;
  attr.btf_key_type_id = attr.btf_value_type_id = 1;
  const int map = bpf_call(BPF_MAP_CREATE, &attr);
  close(btf);
  return map;
}

static void many_inodes(void) {
  const int map = inode_storage(), first = memfd_create("first", 0);
  const int one = 1;
  long failed = put(map, (uint32_t)first, &one) != 0;
  char path[64], folder[] = "/tmp/memory_limits.XXXXXX";
  CHECK(mkdtemp(folder) != NULL);
  for (int i = 0; there_is_bpf && i < kInodes; ++i) {
    snprintf(path, sizeof path, "%s/%d", folder, i);
    const int other = open(path, O_CREAT | O_RDWR, 0600);
    failed += put(map, (uint32_t)other, &i) != 0;
    close(other);
  }
  say("inodes without a value", failed, 0);
  uint32_t key = (uint32_t)first;
  int value = 0;
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&value;
  bpf_call(BPF_MAP_LOOKUP_ELEM, &attr);
  say("value of the first", value, 1);
  for (int i = 0; there_is_bpf && i < kInodes; ++i) {
    snprintf(path, sizeof path, "%s/%d", folder, i);
    unlink(path);
  }
  rmdir(folder);
  close(first), close(map);
}

int main(void) {
  const int map = counter_map();
  there_is_bpf = is_open(map);
  CHECK(there_is_bpf || !demanded());
  close(map);
  too_much();
  many_descriptors();
  given_back();
  changed_while_run();
  many_inodes();
  many_objects();
}
