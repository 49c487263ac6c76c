// SPDX-License-Identifier: Apache-2.0
// Helpers of sock_ops programs: they put the socket that they run for into a SOCKMAP or SOCKHASH (where they may, and
// when it leaves the map), and ask for options of TCP's headers. As root on the claimed kernel it says the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "cgroup.h"

enum {
  kListen = BPF_SOCK_OPS_TCP_LISTEN_CB,
  kActive = BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB,
  kPassive = BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
  kConnect = BPF_SOCK_OPS_TCP_CONNECT_CB,
  kEntries = 16,
  kTooMany = 3
};

static int results;
// What the helper has said goes to the element whose number stands at fp - 4, and the program ends.
#define KEEP_RESULT(map)                                               \
  {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 0},   \
      LOOK_UP(map),                                                    \
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 1},     \
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 6}, \
      RETURN(1)

static int new_map(uint32_t type, uint32_t entries) {
  union bpf_attr attr = {.map_type = type, .key_size = 4, .value_size = 8, .max_entries = entries};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static int look_up(int map, uint32_t key, uint64_t* value) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  return bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0 ? 0 : -errno;
}

// The cookie of the socket that the map has for this operation, 0: none.
static uint64_t member(int map, uint32_t op) {
  uint64_t cookie = 0;
  return look_up(map, op, &cookie) == 0 ? cookie : 0;
}

// What the helper said at the operation last.
static long result_of(uint32_t op) {
  uint64_t value = 0;
  CHECK(look_up(results, op, &value) == 0);
  return (long)value;
}

static uint64_t cookie_of(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  CHECK(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
  return cookie;
}

// The operation's number is the key.
static int load_putter(int map, int helper, int flags) {
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct bpf_sock_ops, op)},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 10, .src_reg = 2, .off = -4},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
      {.code = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = -4},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = flags},
      {.code = BPF_JMP | BPF_CALL, .imm = helper},
      KEEP_RESULT(results),
  };
  return load(BPF_PROG_TYPE_SOCK_OPS, 0, code, LENGTH(code));
}

static int start(void) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(listen(listener, 4) == 0);
  return listener;
}

static int connect_to(int listener) {
  struct sockaddr_in name;
  socklen_t size = sizeof name;
  CHECK(getsockname(listener, (struct sockaddr*)&name, &size) == 0);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(client, (struct sockaddr*)&name, size) == 0);
  return client;
}

static void expect(long listening, long active, long passive) {
  CHECK(result_of(kListen) == listening && result_of(kActive) == active && result_of(kPassive) == passive);
  CHECK(result_of(kConnect) == -EOPNOTSUPP && result_of(BPF_SOCK_OPS_RWND_INIT) == -EOPNOTSUPP);
}

static void check(int cgroup, uint32_t type) {
  const int helper = type == BPF_MAP_TYPE_SOCKMAP ? BPF_FUNC_sock_map_update : BPF_FUNC_sock_hash_update;
  const int map = new_map(type, kEntries), program = load_putter(map, helper, BPF_NOEXIST);
  CHECK(map >= 0 && program >= 0);
  CHECK(attach(cgroup, program, BPF_CGROUP_SOCK_OPS, 0) == 0);
  const int listener = start(), client = connect_to(listener);
  expect(0, 0, 0);
  // The connection that nobody has accepted is there.
  const uint64_t waiting = member(map, kPassive);
  CHECK(waiting != 0 && member(map, kListen) == cookie_of(listener) && member(map, kActive) == cookie_of(client));
  CHECK(member(map, kConnect) == 0);
  const int server = accept(listener, NULL, NULL);
  CHECK(cookie_of(server) == waiting && member(map, kPassive) == waiting);
  // Its place is taken.
  const int again = connect_to(listener);
  expect(0, -EEXIST, -EEXIST);
  CHECK(member(map, kActive) == cookie_of(client));
  char text[4] = "abc";
  CHECK(send(client, text, 4, 0) == 4 && recv(server, text, 4, 0) == 4);
  close(client), close(again);
  CHECK(member(map, kActive) == 0 && member(map, kPassive) == waiting);
  CHECK(recv(server, text, 1, 0) == 0);
  close(server);
  CHECK(member(map, kPassive) == 0 && member(map, kListen) != 0);
  const int third = connect_to(listener);
  expect(0, 0, 0);
  CHECK(member(map, kActive) == cookie_of(third) && member(map, kPassive) != 0);
  // With the listener all go that wait for it.
  close(listener);
  CHECK(member(map, kListen) == 0 && member(map, kPassive) == 0);
  close(third);
  CHECK(detach(cgroup, program, BPF_CGROUP_SOCK_OPS) == 0);
  close(program), close(map);
}

static void check_errors(int cgroup) {
  const struct {
    uint32_t type, entries;
    int helper, flags;
    long result;
  } kinds[] = {
      {BPF_MAP_TYPE_SOCKMAP, kTooMany, BPF_FUNC_sock_map_update, BPF_ANY, -E2BIG},
      {BPF_MAP_TYPE_SOCKMAP, kEntries, BPF_FUNC_sock_map_update, BPF_EXIST, -ENOENT},
      {BPF_MAP_TYPE_SOCKMAP, kEntries, BPF_FUNC_sock_map_update, BPF_EXIST + 1, -EINVAL},
      {BPF_MAP_TYPE_SOCKHASH, kEntries, BPF_FUNC_sock_hash_update, BPF_EXIST, -ENOENT},
      {BPF_MAP_TYPE_SOCKHASH, kEntries, BPF_FUNC_sock_hash_update, BPF_EXIST + 1, -EINVAL},
  };
  for (size_t i = 0; i < LENGTH(kinds); ++i) {
    const int map = new_map(kinds[i].type, kinds[i].entries);
    const int program = load_putter(map, kinds[i].helper, kinds[i].flags);
    CHECK(map >= 0 && program >= 0 && attach(cgroup, program, BPF_CGROUP_SOCK_OPS, 0) == 0);
    const int listener = start(), client = connect_to(listener);
    expect(kinds[i].result, kinds[i].result, kinds[i].result);
    close(client), close(listener);
    CHECK(detach(cgroup, program, BPF_CGROUP_SOCK_OPS) == 0);
    close(program), close(map);
  }
}

// A call of a helper about header options, with what it answers at each operation.
struct question {
  int helper;
  uint8_t option[8];
  int size, flags;
  long listening, connecting, active, passive;
};

static int load_asker(const struct question* asked) {
  int words[2];
  memcpy(words, asked->option, sizeof words);
  const int reserves = asked->helper == BPF_FUNC_reserve_hdr_opt;
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct bpf_sock_ops, op)},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 10, .src_reg = 2, .off = -4},
      {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -16, .imm = words[0]},
      {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -12, .imm = words[1]},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -16},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = asked->size},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = asked->flags},
      {.code = reserves ? BPF_ALU64 | BPF_MOV | BPF_K : BPF_JMP | BPF_JA,
       .dst_reg = reserves ? 2 : 0,
       .imm = reserves ? asked->size : 0},
      {.code = BPF_JMP | BPF_CALL, .imm = asked->helper},
      KEEP_RESULT(results),
  };
  return load(BPF_PROG_TYPE_SOCK_OPS, 0, code, LENGTH(code));
}

enum { kNone = 0x42, kNop = 1, kTimestamps = 8, kExperiment = 254, kOther = 253, kSyn = BPF_LOAD_HDR_OPT_TCP_SYN };
#define EVERYWHERE(result) -result, -result, -result, -result
// No segment has the option kNone. Headers are written at other operations only.
static const struct question kQuestions[] = {
    {BPF_FUNC_load_hdr_opt, {kNone}, 8, 0, -EPERM, -EPERM, -ENOMSG, -ENOMSG},
    {BPF_FUNC_load_hdr_opt, {kNone}, 2, 0, -EPERM, -EPERM, -ENOMSG, -ENOMSG},
    {BPF_FUNC_load_hdr_opt, {kOther, 4, 1, 2}, 8, 0, -EPERM, -EPERM, -ENOMSG, -ENOMSG},
    {BPF_FUNC_load_hdr_opt, {kExperiment, 6, 1, 2, 3, 4}, 8, 0, -EPERM, -EPERM, -ENOMSG, -ENOMSG},
    {BPF_FUNC_load_hdr_opt, {kNone}, 1, 0, EVERYWHERE(EINVAL)},
    {BPF_FUNC_load_hdr_opt, {kNone}, 8, 2, EVERYWHERE(EINVAL)},
    {BPF_FUNC_load_hdr_opt, {kNop}, 8, 0, EVERYWHERE(EINVAL)},
    {BPF_FUNC_load_hdr_opt, {0}, 8, 0, EVERYWHERE(EINVAL)},
    {BPF_FUNC_load_hdr_opt, {kTimestamps, 8}, 8, 0, EVERYWHERE(EINVAL)},
    {BPF_FUNC_load_hdr_opt, {kExperiment, 5, 1, 2, 3}, 8, 0, EVERYWHERE(EINVAL)},
    {BPF_FUNC_load_hdr_opt, {kExperiment, 6, 1, 2, 3, 4}, 4, 0, EVERYWHERE(EINVAL)},
    {BPF_FUNC_load_hdr_opt, {kNone}, 8, kSyn, EVERYWHERE(ENOENT)},
    {BPF_FUNC_store_hdr_opt, {kNone, 4, 1, 2}, 4, 0, EVERYWHERE(EPERM)},
    {BPF_FUNC_store_hdr_opt, {kNone, 4, 1, 2}, 4, 1, EVERYWHERE(EPERM)},
    {BPF_FUNC_reserve_hdr_opt, {0}, 4, 0, EVERYWHERE(EPERM)},
    {BPF_FUNC_reserve_hdr_opt, {0}, 1, 1, EVERYWHERE(EPERM)},
};

static void ask(int cgroup, const struct question* asked, int saves_syn) {
  const int program = load_asker(asked);
  CHECK(program >= 0 && attach(cgroup, program, BPF_CGROUP_SOCK_OPS, 0) == 0);
  const int listener = start();
  CHECK(setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &saves_syn, sizeof saves_syn) == 0);
  const int client = connect_to(listener);
  const long expected[] = {asked->listening, asked->connecting, asked->active, asked->passive};
  const uint32_t ops[] = {kListen, kConnect, kActive, kPassive};
  for (size_t i = 0; i < LENGTH(ops); ++i)
    if (result_of(ops[i]) != expected[i])
      printf("helper %d, option %d: %ld at operation %u, not %ld\n", asked->helper, asked->option[0], result_of(ops[i]),
             ops[i], expected[i]);
  close(client), close(listener);
  CHECK(detach(cgroup, program, BPF_CGROUP_SOCK_OPS) == 0);
  close(program);
}

int main(void) {
  if (!mount_cgroups()) return 0;
  results = new_map(BPF_MAP_TYPE_ARRAY, kEntries);
  const int cgroup = make("maps");
  CHECK(write_to(cgroup, "cgroup.procs", "0") == 0);
  check(cgroup, BPF_MAP_TYPE_SOCKMAP);
  check(cgroup, BPF_MAP_TYPE_SOCKHASH);
  check_errors(cgroup);
  for (size_t i = 0; i < LENGTH(kQuestions); ++i) ask(cgroup, &kQuestions[i], 0);
  const struct question saved = {BPF_FUNC_load_hdr_opt, {kNone}, 8, kSyn, -ENOENT, -ENOENT, -ENOENT, -ENOMSG};
  ask(cgroup, &saved, 1);
  close(cgroup), close(results);
  leave_cgroup("maps");
  unmount_cgroups();
  return 0;
}
