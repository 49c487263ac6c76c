// SPDX-License-Identifier: Apache-2.0
// What the test run of a program on a packet passes in the kernel besides the program: the link's header is taken off
// (eth_type_trans), and the packet is freed at the end, whatever the run came to (kfree_skb). As root on the claimed
// kernel it says the same.
#include "kernel_btf.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))
enum { kHeadroom = 64, kNoHeader = 0xffff, kMost = 24, kNotSpecified = 1, kLoopback = 1 };

// A member of what an argument points to, or of what a first member there points to; of none: the argument itself.
struct look {
  int argument;
  int through;  // offset, -1: nothing
  int offset;   // -1: nothing
  int size;
};

struct watch {
  int map, link;
  uint32_t count;
};

static int skb(const char* member) {
  return btf_offset("sk_buff", member);
}

static int load_watch(int map, uint32_t attach, uint32_t function, const struct look* looks, uint32_t count) {
  struct bpf_insn code[16 + 4 * kMost] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0},
      ELEMENT(map, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 7, .imm = getpid()},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
      {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD},
  };
  uint32_t n = 14;
  for (uint32_t i = 0; i < count; ++i) {
    const struct look* look = looks + i;
    const int sizes[] = {0, BPF_B, BPF_H, 0, BPF_W, 0, 0, 0, BPF_DW};
    code[n++] =
        (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 8 * look->argument};
    if (look->through >= 0)
      code[n++] =
          (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = look->through};
    if (look->offset >= 0)
      code[n++] = (struct bpf_insn){
          .code = BPF_LDX | BPF_MEM | sizes[look->size], .dst_reg = 1, .src_reg = 1, .off = look->offset};
    code[n++] =
        (struct bpf_insn){.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1, .off = 8 + 8 * (int)i};
  }
  code[10].off = (int)n - 11;
  code[11].off = (int)n - 12;
  code[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0};
  code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_TRACING, .expected_attach_type = attach, .attach_btf_id = function};
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = n;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static struct watch watch(uint32_t attach, uint32_t function, const struct look* looks, uint32_t count) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8 + 8 * kMost, .max_entries = 1};
  struct watch watch = {.map = bpf_call(BPF_MAP_CREATE, &attr), .link = -1, .count = count};
  const int program = load_watch(watch.map, attach, function, looks, count);
  union bpf_attr open = {.raw_tracepoint = {.prog_fd = (uint32_t)program}};
  watch.link = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &open);
  CHECK(watch.map >= 0 && program >= 0 && watch.link >= 0);
  if (program >= 0) close(program);
  return watch;
}

// What it noted last.
static const uint64_t* noted(struct watch watch) {
  static uint64_t value[1 + kMost];
  uint32_t key = 0;
  union bpf_attr attr = {.map_fd = (uint32_t)watch.map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  CHECK(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0);
  return value;
}

// What all three see of a packet: the first looks of each.
struct state {
  uint64_t length, at, tail, has_device, device, protocol, link, network, type, family, block[6];
};
enum { kAllLooks = 17, kExtra = kAllLooks };

static void compare(const char* what, int step, struct watch watch, uint64_t times, const struct state* expected,
                    uint64_t extra) {
  const uint64_t* const seen = noted(watch);
  const uint64_t* const v = seen + 1;
  if (seen[0] != times) printf("%d: %s %lu times, not %lu\n", step, what, seen[0], times);
  const uint64_t head = v[1];
  const struct state found = {
      .length = v[0],
      .at = v[2] - head,
      .tail = v[3],
      .has_device = v[4] != 0,
      .device = v[5],
      .protocol = v[6],
      .link = v[7],
      .network = v[8],
      .type = v[9] & 7,
      .family = v[10] & 0xffff,
      .block = {v[11], v[12], v[13] ? v[13] - head : 0, v[14] ? v[14] - head : 0, v[15], v[16]}};
  const uint64_t *a = (const uint64_t*)&found, *b = (const uint64_t*)expected;
  for (size_t i = 0; i < sizeof found / sizeof *a; ++i)
    if (a[i] != b[i]) printf("%d: %s, %zu: %lx, not %lx\n", step, what, i, a[i], b[i]);
  if (v[kExtra] != extra) printf("%d: %s: %lx, not %lx\n", step, what, v[kExtra], extra);
}

static uint64_t address_of(const char* symbol) {
  char line[300], name[200];
  uint64_t address = 0, found = 0;
  FILE* file = fopen("/proc/kallsyms", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "%lx %*s %199s", &address, name) == 2 && strcmp(name, symbol) == 0) found = address;
  if (file) fclose(file);
  return found;
}

static int load_any(uint32_t type) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attr = {.prog_type = type, .insn_cnt = LENGTH(code)};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// Plain; with a context; too short for its protocol; on a device that there is not.
enum { kPlain, kContext, kShort, kNoDevice, kWays };
enum { kSize = 100, kShortSize = 20, kIp = 0x0008, kMulticast = 2 };

static void run(uint32_t type, int way) {
  static const int errors[] = {0, 0, EINVAL, ENODEV};
  static unsigned char packet[kSize] = {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 8, 0, 0x45};
  struct __sk_buff context = {.cb = {1, 2, 3, 4, 5}, .ifindex = way == kNoDevice ? 0x7ffffff0 : 0};
  const int program = load_any(type);
  union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program, .data_size_in = way == kShort ? kShortSize : kSize}};
  attr.test.data_in = (uintptr_t)packet;
  if (way) attr.test.ctx_in = (uintptr_t)&context, attr.test.ctx_size_in = sizeof context;
  errno = 0;
  bpf_call(BPF_PROG_TEST_RUN, &attr);
  CHECK(program >= 0 && errno == errors[way]);
  if (program >= 0) close(program);
}

int main(void) {
  const int dev = skb("dev"), block = skb("cb"), ifindex = btf_offset("net_device", "ifindex");
  if (!kernel_btf()) return 0;
  if (dev < 0 || !is_claimed_kernel() || geteuid() != 0) return 0;
  const struct look looks[kAllLooks + 2] = {{0, -1, skb("len"), 4},
                                            {0, -1, skb("head"), 8},
                                            {0, -1, skb("data"), 8},
                                            {0, -1, skb("tail"), 4},
                                            {0, -1, dev, 8},
                                            {0, dev, ifindex, 4},
                                            {0, -1, skb("protocol"), 2},
                                            {0, -1, skb("mac_header"), 2},
                                            {0, -1, skb("network_header"), 2},
                                            {0, -1, skb("__pkt_type_offset"), 1},
                                            {0, skb("sk"), btf_offset("sock_common", "skc_family"), 2},
                                            {0, -1, block, 8},
                                            {0, -1, block + 8, 8},
                                            {0, -1, block + 32, 8},
                                            {0, -1, block + 40, 8},
                                            {0, -1, skb("users"), 4},
                                            {0, -1, skb("transport_header"), 2},
                                            {1, -1, ifindex, 4},
                                            {2, -1, -1, 8}};
  struct look of_freed[LENGTH(looks)];
  memcpy(of_freed, looks, sizeof looks);
  of_freed[kExtra] = looks[kExtra + 1];
  of_freed[kExtra + 1] = (struct look){1, -1, -1, 8};
  struct look of_back[LENGTH(looks)];
  memcpy(of_back, looks, sizeof looks);
  of_back[kExtra] = looks[kExtra + 1];
  const struct watch entry = watch(BPF_TRACE_FENTRY, btf_id(BTF_KIND_FUNC, "eth_type_trans"), looks, kExtra + 1);
  const struct watch back = watch(BPF_TRACE_FEXIT, btf_id(BTF_KIND_FUNC, "eth_type_trans"), of_back, kExtra + 1);
  const struct watch freed =
      watch(BPF_TRACE_RAW_TP, btf_id(BTF_KIND_TYPEDEF, "btf_trace_kfree_skb"), of_freed, kExtra + 2);
  const uint64_t place = address_of("bpf_prog_test_run_skb");
  const uint32_t types[] = {BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_LWT_XMIT};
  uint64_t times = 0, all = 0;
  for (int n = 0; n < (int)LENGTH(types) * kWays; ++n) {
    const uint32_t type = types[n / kWays];
    const int way = n % kWays, link = type == BPF_PROG_TYPE_SCHED_CLS;
    const uint64_t size = way == kShort ? kShortSize : kSize, end = kHeadroom + size;
    run(type, way);
    struct state state = {
        .length = size, .at = kHeadroom, .tail = end, .link = kNoHeader, .block[4] = 1, .block[5] = kNoHeader};
    if (way != kNoDevice) {
      compare("before", n, entry, ++times, &state, kLoopback);
      state.length -= ETH_HLEN, state.at += ETH_HLEN, state.has_device = 1, state.device = kLoopback;
      state.link = kHeadroom, state.type = kMulticast;
      compare("behind", n, back, times, &state, kIp);
      state.protocol = kIp, state.network = kHeadroom + ETH_HLEN;
    }
    if (way == kPlain || way == kContext) {
      state.family = AF_INET;
      const uint64_t begin = link ? kHeadroom : kHeadroom + ETH_HLEN;
      if (type != BPF_PROG_TYPE_SOCKET_FILTER) state.block[2] = begin, state.block[3] = end;
      if (way == kContext) state.block[0] = end - begin, state.block[1] = 0x200000001;
      state.length = size, state.at = kHeadroom;
    }
    compare("freed", n, freed, ++all, &state, kNotSpecified);
    const uint64_t from = noted(freed)[1 + kExtra + 1];
    if (from <= place || from > place + 0x1000) printf("%d: freed by %lx\n", n, from);
  }
  return 0;
}
