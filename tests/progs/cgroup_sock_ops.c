// SPDX-License-Identifier: Apache-2.0
// What TCP asks sock_ops programs of a cgroup, from listen() to the end of a connection: which operations, in which
// order, with what. As root on the claimed kernel it says the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "cgroup.h"

enum { kEvents = 64 };
struct event {
  uint32_t op, from, to, family, local_port, remote_port, full, flags, state, segs_in, data_in, segs_out, data_out, retrans;
  uint64_t received, acked;
};

static const char* name_of(uint32_t op) {
  static const char* const kNames[] = {"void", "timeout_init", "rwnd_init", "connect", "active", "passive", "needs_ecn",
                                       "base_rtt", "rto", "retrans", "state", "listen", "rtt"};
  return op < LENGTH(kNames) ? kNames[op] : "?";
}

// Copies one word of the context, at r6, to the element at r7.
#define WORD(size, field, to)                                                                                       \
  {.code = BPF_LDX | BPF_MEM | size, .dst_reg = 1, .src_reg = 6, .off = offsetof(struct bpf_sock_ops, field)}, {     \
    .code = BPF_STX | BPF_MEM | size, .dst_reg = 7, .src_reg = 1, .off = offsetof(struct event, to)                  \
  }

// Each event becomes the next element of `events`; callbacks are turned on where sockets begin.
static int load_recorder(int count, int events, int flags) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      ELEMENT(count, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 41},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 8, .src_reg = 0},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 10, .src_reg = 8, .off = -4},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 8, .imm = 1},
      {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 8},
      LOOK_UP(events),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 41 - 5 - 6 + 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0},
      WORD(BPF_W, op, op), WORD(BPF_W, args[0], from), WORD(BPF_W, args[1], to), WORD(BPF_W, family, family),
      WORD(BPF_W, local_port, local_port), WORD(BPF_W, remote_port, remote_port), WORD(BPF_W, is_fullsock, full),
      WORD(BPF_W, bpf_sock_ops_cb_flags, flags), WORD(BPF_W, state, state), WORD(BPF_W, segs_in, segs_in),
      WORD(BPF_W, data_segs_in, data_in), WORD(BPF_W, segs_out, segs_out), WORD(BPF_W, data_segs_out, data_out),
      WORD(BPF_W, total_retrans, retrans), WORD(BPF_DW, bytes_received, received), WORD(BPF_DW, bytes_acked, acked),
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 8, .src_reg = 6, .off = offsetof(struct bpf_sock_ops, op)},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 8, .off = 1, .imm = BPF_SOCK_OPS_TCP_CONNECT_CB},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 8, .off = 3, .imm = BPF_SOCK_OPS_TCP_LISTEN_CB},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = flags},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sock_ops_cb_flags_set},
      RETURN(1),
  };
  struct bpf_insn fixed[LENGTH(code)];
  memcpy(fixed, code, sizeof code);
  // Where there is no element, the program ends.
  for (uint32_t n = 0; n < LENGTH(code); ++n)
    if (fixed[n].code == (BPF_JMP | BPF_JEQ | BPF_K) && fixed[n].dst_reg == 0) fixed[n].off = LENGTH(code) - 2 - n - 1;
  return load(BPF_PROG_TYPE_SOCK_OPS, 0, fixed, LENGTH(fixed));
}

static int array(uint32_t size, uint32_t count) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = size, .max_entries = count};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static void look_up(int map, uint32_t key, void* value) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  CHECK(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0);
}

// What each event is to say: the counters of segments where they cannot depend on when something is acknowledged.
static void describe(const struct event* e, uint16_t server, uint16_t client, char* text, size_t size) {
  const char* const who = e->local_port == server ? "server" : e->local_port == client ? "client" : "?";
  const uint16_t port = ntohs((uint16_t)(e->remote_port >> 16));
  const char* const peer = port == server ? "server" : port == client ? "client" : port ? "?" : "nobody";
  int n = snprintf(text, size, "%s to %s: %s, full %u, flags %x, state %u", who, peer, name_of(e->op), e->full, e->flags,
                   e->state);
  if (e->op == BPF_SOCK_OPS_STATE_CB) n += snprintf(text + n, size - (size_t)n, ", %u to %u", e->from, e->to);
  if (e->state <= 3 && e->op != BPF_SOCK_OPS_STATE_CB)
    snprintf(text + n, size - (size_t)n, ", segments %u and %u", e->segs_in, e->segs_out);
}

static void compare(int count, int events, uint16_t server, uint16_t client, const char* const* expected) {
  uint64_t all = 0;
  look_up(count, 0, &all);
  for (uint32_t n = 0; expected[n]; ++n) {
    struct event e = {};
    char text[200] = "nothing";
    if (n < all && n < kEvents) {
      look_up(events, n, &e);
      describe(&e, server, client, text, sizeof text);
    }
    if (strcmp(text, expected[n]) != 0) printf("%u: %s; not: %s\n", n, expected[n], text);
  }
}

#define HANDSHAKE(sockets)                                                       \
  "server to nobody: listen, full 1, flags 0, state 10",                                   \
      "client to server: connect, full 1, flags 0, state 2, segments 0 and 0",             \
      "client to server: rwnd_init, full 1, flags " sockets ", state 2, segments 0 and 0", \
      "client to server: timeout_init, full 1, flags " sockets ", state 2, segments 0 and 0", \
      "client to server: needs_ecn, full 1, flags " sockets ", state 2, segments 0 and 0", \
      "server to client: rwnd_init, full 0, flags 0, state 12",                            \
      "server to client: timeout_init, full 0, flags 0, state 12",                         \
      "server to client: needs_ecn, full 0, flags 0, state 12"

static const char* const kStates[] = {
    HANDSHAKE("4"),
    "client to server: state, full 1, flags 4, state 2, 2 to 1",
    "client to server: active, full 1, flags 4, state 1, segments 1 and 1",
    "server to client: passive, full 1, flags 4, state 3, segments 2 and 0",
    "server to client: state, full 1, flags 4, state 3, 3 to 1",
    "server to client: state, full 1, flags 4, state 1, 1 to 4",
    "client to server: state, full 1, flags 4, state 1, 1 to 8",
    "client to server: state, full 1, flags 4, state 8, 8 to 9",
    "server to client: state, full 1, flags 4, state 4, 4 to 5",
    "server to client: state, full 1, flags 4, state 5, 5 to 7",
    "client to server: state, full 1, flags 4, state 9, 9 to 7",
    "server to nobody: state, full 1, flags 4, state 10, 10 to 7",
    NULL,
};
// The samples of the handshake; those behind it depend on when the other end acknowledges.
static const char* const kRoundTrips[] = {
    HANDSHAKE("8"),
    "client to server: rtt, full 1, flags 8, state 2, segments 1 and 1",
    "client to server: active, full 1, flags 8, state 1, segments 1 and 1",
    "server to client: rtt, full 1, flags 8, state 3, segments 1 and 0",
    "server to client: passive, full 1, flags 8, state 3, segments 2 and 0",
    "client to server: rtt, full 1, flags 8, state 1, segments 2 and 3",
    NULL,
};

static void check_connection(int cgroup, int family, int flags, const char* const* expected) {
  const int count = array(8, 1), events = array(sizeof(struct event), kEvents);
  const int program = load_recorder(count, events, flags);
  if (program < 0) perror("sock_ops program");
  CHECK(attach(cgroup, program, BPF_CGROUP_SOCK_OPS, 0) == 0);
  union {
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
  } name = {.ip4 = {.sin_family = (sa_family_t)family}}, own = {};
  socklen_t size = family == AF_INET ? sizeof name.ip4 : sizeof name.ip6, own_size = sizeof own;
  if (family == AF_INET)
    name.ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else
    name.ip6.sin6_addr = in6addr_loopback;
  const int listener = socket(family, SOCK_STREAM, 0);
  CHECK(bind(listener, (struct sockaddr*)&name, size) == 0 && listen(listener, 4) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&name, &size) == 0);
  const int client = socket(family, SOCK_STREAM, 0);
  CHECK(connect(client, (struct sockaddr*)&name, size) == 0);
  CHECK(getsockname(client, (struct sockaddr*)&own, &own_size) == 0);
  const int server = accept(listener, NULL, NULL);
  char text[100] = {0};
  CHECK(send(client, text, 100, 0) == 100 && recv(server, text, 100, 0) == 100);
  CHECK(send(server, text, 50, 0) == 50 && recv(client, text, 50, 0) == 50);
  CHECK(shutdown(server, SHUT_WR) == 0 && recv(client, text, 1, 0) == 0);
  CHECK(shutdown(client, SHUT_WR) == 0 && recv(server, text, 1, 0) == 0);
  close(server), close(client), close(listener);
  compare(count, events, ntohs(name.ip4.sin_port), ntohs(own.ip4.sin_port), expected);
  CHECK(detach(cgroup, program, BPF_CGROUP_SOCK_OPS) == 0);
  close(program), close(count), close(events);
}

int main(void) {
  if (!mount_cgroups()) return 0;
  const int cgroup = make("ops");
  CHECK(write_to(cgroup, "cgroup.procs", "0") == 0);
  for (int family = AF_INET;; family = AF_INET6) {
    check_connection(cgroup, family, BPF_SOCK_OPS_STATE_CB_FLAG, kStates);
    check_connection(cgroup, family, BPF_SOCK_OPS_RTT_CB_FLAG, kRoundTrips);
    if (family == AF_INET6) break;
  }
  close(cgroup);
  leave_cgroup("ops");
  unmount_cgroups();
  return 0;
}
