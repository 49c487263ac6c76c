// SPDX-License-Identifier: Apache-2.0
// Iterators: what programs see of maps, programs, links, elements, threads, files and mappings, how their text is read, and
// what their links say. As root on the claimed kernel it says the same.
#include "kernel_btf.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static uint32_t type_id(const char* name) { return btf_id(BTF_KIND_STRUCT, name); }

static int load(const char* target, const struct bpf_insn* code, uint32_t count) {
  char function[64];
  snprintf(function, sizeof function, "bpf_iter_%s", target);
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_TRACING, .insn_cnt = count, .expected_attach_type = BPF_TRACE_ITER};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  attr.attach_btf_id = btf_id(BTF_KIND_FUNC, function);
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// What a program adds for each object: the number of the object, and a number found in it; ~0 when there are no more.
struct line {
  uint64_t number, value;
};
enum { kNothing = -1 };

// Where a program finds its number: a pointer in the context, a pointer in what that leads to (or kNothing), and there a
// field of four bytes.
struct place {
  int object, pointer, field;
};

static int load_lines(const char* target, struct place place, int result) {
  struct bpf_insn code[24] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1, .off = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 2, .off = 0},   // seq
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = 2, .off = 16},  // seq_num
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 3, .off = -16},
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = -1},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = (short)place.object},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 1, .off = place.pointer == kNothing ? 2 : 3},
  };
  int n = 7;
  if (place.pointer != kNothing)
    code[n++] = (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = (short)place.pointer};
  const struct bpf_insn rest[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 1, .off = (short)place.field},
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 3, .off = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 7},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -16},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 16},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = result},
      {.code = BPF_JMP | BPF_EXIT},
  };
  memcpy(code + n, rest, sizeof rest);
  return load(target, code, n + LENGTH(rest));
}

// A program that adds `size` bytes at the pointer in its context, for the elements of a map.
static int load_bytes(const char* target, int pointer, int size) {
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 1, .off = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1, .off = (short)pointer},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 2, .off = 3},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = size},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  return load(target, code, LENGTH(code));
}

static int make_link(int program, const void* info, uint32_t size) {
  union bpf_attr attr = {.link_create = {.prog_fd = (uint32_t)program, .attach_type = BPF_TRACE_ITER}};
  attr.link_create.iter_info = (uintptr_t)info;
  attr.link_create.iter_info_len = size;
  return bpf_call(BPF_LINK_CREATE, &attr);
}

static int make_iter(int link) {
  union bpf_attr attr = {.iter_create = {.link_fd = (uint32_t)link}};
  return bpf_call(BPF_ITER_CREATE, &attr);
}

static char text[1 << 20];

// All of an iterator's text, so many bytes a time.
static ssize_t read_all(int fd, size_t piece) {
  ssize_t size = 0, n;
  while ((n = read(fd, text + size, piece)) > 0) size += n;
  return n < 0 ? n : size;
}

static ssize_t walk(int link, size_t piece) {
  const int fd = make_iter(link);
  const ssize_t size = fd < 0 ? fd : read_all(fd, piece);
  close(fd);
  return size;
}

static int made_map(uint32_t type, uint32_t value, uint32_t entries) {
  union bpf_attr attr = {.map_type = type, .key_size = 4, .value_size = value, .max_entries = entries};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static void put(int map, uint32_t key, const void* value) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == 0);
}

// The id of a map, program or link: the second word of bpf_map_info and bpf_prog_info and bpf_link_info alike.
static uint32_t id_of(int fd) {
  uint32_t info[64] = {0};
  union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)fd, .info_len = 8}};
  attr.info.info = (uintptr_t)info;
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
  return info[1];
}

// Lines are numbered from 0, the last says that there are no more. How many of the others have the value?
static int lines_with(ssize_t size, uint64_t value) {
  const struct line* line = (const void*)text;
  const ssize_t count = size / (ssize_t)sizeof *line;
  int found = 0;
  CHECK(size % (ssize_t)sizeof *line == 0 && count > 0);
  for (ssize_t i = 0; i < count - 1; ++i) {
    CHECK(line[i].number == (uint64_t)i && line[i].value != ~0ull);
    found += line[i].value == value;
  }
  CHECK(count < 1 || line[count - 1].value == ~0ull);
  CHECK(count < 2 || line[count - 1].number == (uint64_t)count - 2);
  return found;
}

static void check_ids(int map) {
  const struct {
    const char* target;
    struct place place;
  } kinds[] = {
      {"bpf_map", {8, kNothing, btf_offset("bpf_map", "id")}},
      {"bpf_prog", {8, btf_offset("bpf_prog", "aux"), btf_offset("bpf_prog_aux", "id")}},
      {"bpf_link", {8, kNothing, btf_offset("bpf_link", "id")}},
  };
  for (size_t i = 0; i < LENGTH(kinds); ++i) {
    const int program = load_lines(kinds[i].target, kinds[i].place, 0), link = make_link(program, NULL, 0);
    CHECK(program >= 0 && link >= 0);
    const int own[] = {map, program, link};
    CHECK(lines_with(walk(link, sizeof text), id_of(own[i])) == 1);
    // Pieces of any size are of the same text; what is there is told again to whoever begins anew.
    CHECK(lines_with(walk(link, 7), id_of(own[i])) == 1);
    const int again = made_map(BPF_MAP_TYPE_ARRAY, 8, 1);
    CHECK(i != 0 || lines_with(walk(link, 64), id_of(again)) == 1);
    close(again), close(link), close(program);
  }
}

static int compare(const void* a, const void* b) { return memcmp(a, b, 4); }

static void check_elements(void) {
  const uint32_t types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_LRU_HASH};
  for (size_t i = 0; i < LENGTH(types); ++i) {
    const int map = made_map(types[i], 8, 4), keys = load_bytes("bpf_map_elem", 16, 4), values = load_bytes("bpf_map_elem", 24, 8);
    for (uint64_t key = 0; key < 4; ++key) put(map, (uint32_t)key, (uint64_t[]){key * 100});
    union bpf_iter_link_info info = {.map = {.map_fd = (uint32_t)map}};
    int link = make_link(keys, &info, sizeof info);
    CHECK(walk(link, 4096) == 16);
    qsort(text, 4, 4, compare);
    CHECK(memcmp(text, (uint32_t[]){0, 1, 2, 3}, 16) == 0);
    CHECK(walk(link, 3) == 16);
    close(link);
    link = make_link(values, &info, sizeof info);
    uint64_t sum = 0;
    CHECK(walk(link, 4096) == 32);
    for (int j = 0; j < 4; ++j) sum += ((uint64_t*)text)[j];
    CHECK(sum == 600);
    close(link), close(map), close(keys), close(values);
  }
  // All CPUs' values, one behind the other.
  const int map = made_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1), whole = load_bytes("bpf_map_elem", 24, 8), more = load_bytes("bpf_map_elem", 24, 4096);
  uint64_t each[1024];
  for (int i = 0; i < 1024; ++i) each[i] = 0x11;
  put(map, 0, each);
  union bpf_iter_link_info info = {.map = {.map_fd = (uint32_t)map}};
  const int link = make_link(whole, &info, sizeof info);
  CHECK(walk(link, 4096) == 8 && ((uint32_t*)text)[0] == 0x11);
  CHECK(make_link(more, &info, sizeof info) == -1 && errno == EACCES);  // fewer CPUs than that
  close(link), close(map), close(whole), close(more);
}

// A program's result is whether it saw the object; a text that does not fit is an error.
static void check_results(void) {
  const int again = load_lines("bpf_map", (struct place){8, kNothing, btf_offset("bpf_map", "id")}, 1), link = make_link(again, NULL, 0);
  const int iter = make_iter(link);
  CHECK(read(iter, text, 64) == -1 && errno == EAGAIN);
  CHECK(read(iter, text, 64) == -1 && errno == EAGAIN);
  close(iter), close(link), close(again);

  static char large[32768];
  const int map = made_map(BPF_MAP_TYPE_ARRAY, sizeof large, 2);
  put(map, 0, large);
  union bpf_iter_link_info info = {.map = {.map_fd = (uint32_t)map}};
  const int fits = load_bytes("bpf_map_elem", 24, sizeof large - 1), whole = load_bytes("bpf_map_elem", 24, sizeof large);
  int one = make_link(whole, &info, sizeof info);
  CHECK(walk(one, sizeof text) == -1 && errno == E2BIG);
  close(one);
  // The second element's text comes with the second filling of the buffer.
  one = make_link(fits, &info, sizeof info);
  CHECK(walk(one, sizeof text) == 2 * (sizeof large - 1));
  close(one), close(map), close(fits), close(whole);
}

static void* wait_here(void* end) {
  pthread_barrier_wait(end);
  pthread_barrier_wait(end);
  return NULL;
}

static void check_tasks(void) {
  static pthread_barrier_t both;
  pthread_t thread;
  pthread_barrier_init(&both, NULL, 2);
  CHECK(pthread_create(&thread, NULL, wait_here, &both) == 0);
  pthread_barrier_wait(&both);
  const struct place tgid = {8, kNothing, btf_offset("task_struct", "tgid")}, pid = {8, kNothing, btf_offset("task_struct", "pid")};
  const int processes = load_lines("task", tgid, 0), threads = load_lines("task", pid, 0);
  union bpf_iter_link_info info = {.task = {.pid = (uint32_t)getpid()}};
  int link = make_link(processes, NULL, 0);
  CHECK(lines_with(walk(link, sizeof text), (uint64_t)getpid()) == 2);
  close(link);
  link = make_link(threads, &info, sizeof info);
  CHECK(walk(link, 40) == 3 * sizeof(struct line));
  CHECK(lines_with(3 * sizeof(struct line), (uint64_t)getpid()) == 1);
  close(link);
  info = (union bpf_iter_link_info){.task = {.tid = (uint32_t)getpid()}};
  link = make_link(threads, &info, sizeof info);
  CHECK(walk(link, 4096) == 2 * sizeof(struct line));
  close(link), close(processes), close(threads);

  info = (union bpf_iter_link_info){.task = {.pid = (uint32_t)getpid()}};
  const int areas = load_lines("task_vma", (struct place){16, kNothing, btf_offset("vm_area_struct", "vm_start")}, 0);
  link = make_link(areas, &info, sizeof info);
  void* own = mmap((void*)0x7000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  CHECK(lines_with(walk(link, sizeof text), (uint32_t)(uintptr_t)own) == 1);
  CHECK(lines_with(walk(link, 24), (uint32_t)(uintptr_t)own) == 1);
  munmap(own, 4096);
  CHECK(lines_with(walk(link, sizeof text), (uint32_t)(uintptr_t)own) == 0);
  close(link), close(areas);
  pthread_barrier_wait(&both);
  pthread_join(thread, NULL);
}

static void check_sockets(void) {
  const int ports = btf_offset("sock_common", "skc_portpair");
  const struct place pair = {8, kNothing, ports}, priority = {8, kNothing, btf_offset("sock", "sk_priority")};
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof name;
  const int types[] = {SOCK_STREAM, SOCK_DGRAM};
  for (int i = 0; i < 2; ++i) {
    const int program = load_lines(i ? "udp" : "tcp", pair, 0), link = make_link(program, NULL, 0);
    const int own = socket(AF_INET, types[i], 0);
    name.sin_port = 0;
    CHECK(bind(own, (void*)&name, sizeof name) == 0 && getsockname(own, (void*)&name, &size) == 0);
    CHECK(i || listen(own, 1) == 0);
    // The port of the other end, then that of its own.
    const uint32_t expected = (uint32_t)ntohs(name.sin_port) << 16;
    CHECK(lines_with(walk(link, sizeof text), expected) == 1);
    CHECK(lines_with(walk(link, 9), expected) == 1);
    close(own);
    CHECK(walk(link, sizeof text) > 0);
    const struct line* line = (const void*)text;
    CHECK(line->value != expected);
    close(link), close(program);
  }
  const int program = load_lines("unix", priority, 0), link = make_link(program, NULL, 0);
  int both[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, both) == 0);
  for (int i = 0; i < 2; ++i) CHECK(setsockopt(both[i], SOL_SOCKET, SO_PRIORITY, (int[]){5}, sizeof(int)) == 0);
  CHECK(lines_with(walk(link, sizeof text), 5) == 2);
  close(both[0]), close(both[1]);
  CHECK(walk(link, sizeof text) > 0);
  close(link), close(program);
}

// Sockets of netlink, those of the kernel among them, and routes: as many as /proc shows.
static void check_network(void) {
  const int ports = load_lines("netlink", (struct place){8, kNothing, btf_offset("netlink_sock", "portid")}, 0);
  const int own = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), link = make_link(ports, NULL, 0);
  struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_pid = 0x40000000u + (uint32_t)getpid()};
  CHECK(link >= 0 && bind(own, (void*)&name, sizeof name) == 0);
  CHECK(lines_with(walk(link, sizeof text), name.nl_pid) == 1);
  CHECK(lines_with(walk(link, 9), name.nl_pid) == 1);
  CHECK(lines_with(walk(link, sizeof text), 0) > 0);
  close(own);
  CHECK(lines_with(walk(link, sizeof text), name.nl_pid) == 0);
  close(link), close(ports);

  const int metrics = load_lines("ipv6_route", (struct place){8, kNothing, btf_offset("fib6_info", "fib6_metric")}, 0);
  const int routes = make_link(metrics, NULL, 0);
  const ssize_t size = walk(routes, sizeof text);
  FILE* const table = fopen("/proc/net/ipv6_route", "r");
  const struct line* line = (const void*)text;
  char row[256];
  while (table && fgets(row, sizeof row, table)) {
    unsigned metric = 0;
    CHECK(sscanf(row, "%*s %*s %*s %*s %*s %x", &metric) == 1);
    CHECK((const char*)line < text + size && line->value == metric);
    ++line;
  }
  CHECK((const char*)(line + 1) == text + size && line->value == ~(uint64_t)0);
  if (table) fclose(table);
  close(routes), close(metrics);
}

// Which files are sockets, and in which state.
static void check_socket_files(void) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 24},  // file
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 1, .off = 12},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sock_from_file},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 10},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 0, .off = (short)btf_offset("socket", "state")},
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 3, .off = -8},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 6, .off = 16},  // fd
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 3, .off = -16},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = 0},  // seq
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -16},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 16},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int program = load("task_file", code, LENGTH(code));
  union bpf_iter_link_info info = {.task = {.pid = (uint32_t)getpid()}};
  const int link = make_link(program, &info, sizeof info);
  int both[2];
  CHECK(link >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
  const int alone = socket(AF_INET, SOCK_STREAM, 0), named = open("/tmp", O_PATH);
  const ssize_t size = walk(link, sizeof text);
  enum { kUnconnected = 1, kConnected = 3 };
  int seen = 0;
  for (const struct line* line = (const void*)text; (const char*)line < text + size; ++line) {
    const int fd = (int)line->number;
    CHECK(fd != link && fd != named && fd != program);
    if (fd == both[0] || fd == both[1]) seen += line->value == kConnected;
    if (fd == alone) seen += line->value == kUnconnected;
  }
  CHECK(seen == 3);
  close(both[0]), close(both[1]), close(alone), close(named), close(link), close(program);
}

// The files of a process: each descriptor once, for its threads share them.
static void check_descriptors(int map) {
  union bpf_iter_link_info info = {.task = {.pid = (uint32_t)getpid()}};
  const int files = load_lines("task_file", (struct place){24, kNothing, btf_offset("file", "f_flags")}, 0);
  const int link = make_link(files, &info, sizeof info);
  const ssize_t before = walk(link, sizeof text);
  const int copy = dup(map);
  CHECK(before > 0 && walk(link, 100) == before + (ssize_t)sizeof(struct line));
  close(copy), close(link), close(files);
}

static void check_files(int map) {
  const int program = load_lines("bpf_map", (struct place){8, kNothing, btf_offset("bpf_map", "id")}, 0), link = make_link(program, NULL, 0);
  const int other = load_lines("bpf_map", (struct place){8, kNothing, btf_offset("bpf_map", "key_size")}, 0);
  const int iter = make_iter(link);
  char path[64], name[64] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", iter);
  CHECK(readlink(path, name, sizeof name - 1) > 0 && strcmp(name, "anon_inode:bpf_iter") == 0);
  CHECK(lseek(iter, 0, SEEK_SET) == -1 && errno == ESPIPE);
  CHECK(write(iter, "", 1) == -1 && errno == EBADF);
  CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, iter, 0) == MAP_FAILED && errno == ENODEV);
  CHECK((fcntl(iter, F_GETFL) & O_ACCMODE) == O_RDONLY && fcntl(iter, F_GETFD) == FD_CLOEXEC);
  CHECK(syscall(SYS_read, iter, NULL, 16) == -1 && errno == EFAULT);
  char halves[16];
  const struct iovec pieces[] = {{halves, 8}, {halves + 8, 8}};
  CHECK(readv(iter, pieces, 2) == 16 && ((struct line*)halves)->number == 0);
  struct bpf_link_info info = {0};
  char target[16];
  union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)link, .info_len = sizeof info}};
  attr.info.info = (uintptr_t)&info;
  info.iter.target_name = (uintptr_t)target;
  info.iter.target_name_len = sizeof target;
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && strcmp(target, "bpf_map") == 0);
  CHECK(info.type == BPF_LINK_TYPE_ITER && info.iter.target_name_len == 8 && info.prog_id == id_of(program));
  attr = (union bpf_attr){.link_update = {.link_fd = (uint32_t)link, .new_prog_fd = (uint32_t)other}};
  CHECK(bpf_call(BPF_LINK_UPDATE, &attr) == 0);
  CHECK(lines_with(walk(link, sizeof text), id_of(map)) >= 0);

  // The link's name in a bpffs is the iterator.
  if (mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) == 0 || access("/sys/fs/bpf", W_OK) == 0) {
    snprintf(path, sizeof path, "/sys/fs/bpf/iterators_%d", getpid());
    attr = (union bpf_attr){.bpf_fd = (uint32_t)link};
    attr.pathname = (uintptr_t)path;
    CHECK(bpf_call(BPF_OBJ_PIN, &attr) == 0);
    for (int i = 0; i < 2; ++i) {
      const int pinned = open(path, O_RDONLY);
      CHECK(pinned >= 0 && lines_with(read_all(pinned, 4096), 4) > 0);
      close(pinned);
    }
    CHECK(unlink(path) == 0);
  }
  close(iter), close(link), close(program), close(other);
}

static void expect(int result, int error, int line) {
  if (result != -1 || errno != error) printf("line %d: %d, errno %d is false\n", line, result, errno);
}
#define EXPECT(call, error) expect(call, error, __LINE__)

static void check_errors(int map) {
  const int program = load_lines("bpf_map", (struct place){8, kNothing, btf_offset("bpf_map", "id")}, 0);
  const int elements = load_bytes("bpf_map_elem", 16, 4), tasks = load_lines("task", (struct place){8, kNothing, btf_offset("task_struct", "pid")}, 0);
  char info[64] = {0};
  EXPECT(make_link(program, info, 0), EINVAL);
  EXPECT(make_link(program, NULL, 4), EINVAL);
  EXPECT(make_link(program, (void*)16, 4), EFAULT);
  EXPECT(make_link(program, info, 8192), E2BIG);
  info[40] = 1;
  EXPECT(make_link(program, info, sizeof info), E2BIG);
  info[40] = 0;
  EXPECT(make_link(elements, NULL, 0), EBADF);
  EXPECT(make_link(elements, (uint32_t[]){999}, 4), EBADF);
  EXPECT(make_link(elements, (uint32_t[]){(uint32_t)program}, 4), EINVAL);
  const int queue = made_map(BPF_MAP_TYPE_ARRAY, 8, 1), wide = load_bytes("bpf_map_elem", 24, 16);
  EXPECT(make_link(wide, (uint32_t[]){(uint32_t)queue}, 4), EACCES);
  EXPECT(make_link(tasks, (uint32_t[]){1, 1}, 8), EINVAL);
  EXPECT(make_link(tasks, (uint32_t[]){0, 0, 999}, 12), EBADF);
  union bpf_attr attr = {.link_create = {.prog_fd = (uint32_t)program, .attach_type = BPF_TRACE_ITER, .flags = 1}};
  EXPECT(bpf_call(BPF_LINK_CREATE, &attr), EINVAL);
  attr = (union bpf_attr){.link_create = {.prog_fd = (uint32_t)program, .target_fd = 1, .attach_type = BPF_TRACE_ITER}};
  EXPECT(bpf_call(BPF_LINK_CREATE, &attr), EINVAL);
  const int link = make_link(program, NULL, 0);
  EXPECT(make_iter(map), EINVAL);
  EXPECT(make_iter(999), EBADF);
  attr = (union bpf_attr){.iter_create = {.link_fd = (uint32_t)link, .flags = 1}};
  EXPECT(bpf_call(BPF_ITER_CREATE, &attr), EINVAL);
  attr = (union bpf_attr){.link_detach = {.link_fd = (uint32_t)link}};
  EXPECT(bpf_call(BPF_LINK_DETACH, &attr), EOPNOTSUPP);
  attr = (union bpf_attr){.link_update = {.link_fd = (uint32_t)link, .new_prog_fd = (uint32_t)tasks}};
  EXPECT(bpf_call(BPF_LINK_UPDATE, &attr), EINVAL);
  attr = (union bpf_attr){.link_update = {.link_fd = (uint32_t)link, .new_prog_fd = (uint32_t)program, .flags = BPF_F_REPLACE, .old_prog_fd = (uint32_t)tasks}};
  EXPECT(bpf_call(BPF_LINK_UPDATE, &attr), EPERM);
  close(link), close(program), close(elements), close(tasks), close(queue), close(wide);
}

int main(void) {
  const int map = made_map(BPF_MAP_TYPE_ARRAY, 4, 1);
  const int program = map < 0 || !type_id("bpf_map") ? -1 : load_lines("bpf_map", (struct place){8, kNothing, btf_offset("bpf_map", "id")}, 0);
  if (program < 0) {
    if (demanded()) printf("cannot iterate: errno %d\n", errno);
    return 0;
  }
  close(program);
  check_ids(map);
  check_elements();
  check_results();
  check_tasks();
  check_descriptors(map);
  check_sockets();
  check_network();
  check_socket_files();
  check_files(map);
  check_errors(map);
  return 0;
}
