// SPDX-License-Identifier: Apache-2.0
// Sockets that maps hold, the programs that maps and sockets have, and sockets that programs look up. As root on the
// claimed kernel it says the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "counter.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define RETURN(value) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (value)}, {.code = BPF_JMP | BPF_EXIT}

enum { kNotSupported = 524 };  // ENOTSUPP, which has no name here

static int load(uint32_t type, uint32_t attach, const struct bpf_insn* code, uint32_t count) {
  union bpf_attr attr = {.prog_type = type};
  attr.expected_attach_type = attach;
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = count;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static int load_passing(uint32_t type, uint32_t attach) {
  const struct bpf_insn code[] = {RETURN(1)};
  return load(type, attach, code, LENGTH(code));
}

static uint32_t program_id(int program) {
  struct bpf_prog_info info = {};
  union bpf_attr attr = {.info = {(uint32_t)program, sizeof info, (uintptr_t)&info}};
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
  return info.id;
}

static int make_map(uint32_t type, uint32_t value_size, uint32_t entries) {
  union bpf_attr attr = {.map_type = type, .key_size = 4, .value_size = value_size, .max_entries = entries};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static int put(int map, uint32_t key, uint64_t value, uint64_t flags) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&value;
  attr.flags = flags;
  return bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == 0 ? 0 : -errno;
}

static int64_t get(int map, uint32_t key) {
  uint64_t value = 0;
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&value;
  return bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0 ? (int64_t)value : -errno;
}

static int take(int map, uint32_t key) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  return bpf_call(BPF_MAP_DELETE_ELEM, &attr) == 0 ? 0 : -errno;
}

static int64_t cookie_of(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  CHECK(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
  return (int64_t)cookie;
}

static struct sockaddr_in name_of(int fd) {
  struct sockaddr_in name = {};
  socklen_t size = sizeof name;
  CHECK(getsockname(fd, (struct sockaddr*)&name, &size) == 0);
  return name;
}

static int bound(int type, int reuse) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  const struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (reuse) CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse, sizeof reuse) == 0);
  CHECK(bind(fd, (const struct sockaddr*)&name, sizeof name) == 0);
  return fd;
}

struct connection {
  int listener, client, server;
};

static struct connection connected(void) {
  struct connection c = {.listener = bound(SOCK_STREAM, 0)};
  CHECK(listen(c.listener, 4) == 0);
  const struct sockaddr_in name = name_of(c.listener);
  c.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(connect(c.client, (const struct sockaddr*)&name, sizeof name) == 0);
  c.server = accept4(c.listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK(c.server >= 0);
  return c;
}

static void disconnect(struct connection c) {
  close(c.listener), close(c.client), close(c.server);
}

static void check_elements(uint32_t type) {
  const int array = type == BPF_MAP_TYPE_SOCKMAP;
  const int map = make_map(type, 8, 4), small = make_map(type, 4, 4);
  struct connection c = connected();
  const int closed = socket(AF_INET, SOCK_STREAM, 0), datagram = bound(SOCK_DGRAM, 0);
  const int unbound = socket(AF_INET, SOCK_DGRAM, 0), alone = socket(AF_UNIX, SOCK_STREAM, 0);
  const int netlink = socket(AF_NETLINK, SOCK_RAW, 0), loose = socket(AF_UNIX, SOCK_DGRAM, 0);
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK(get(map, 0) == -ENOENT && take(map, 0) == (array ? -EINVAL : -ENOENT));
  CHECK(put(map, 0, (uint32_t)c.client, BPF_EXIST) == -ENOENT);
  CHECK(put(map, 0, (uint32_t)c.client, BPF_NOEXIST) == 0);
  CHECK(put(map, 0, (uint32_t)c.client, BPF_NOEXIST) == -EEXIST);
  CHECK(get(map, 0) == cookie_of(c.client));
  CHECK(put(map, 0, (uint32_t)c.server, 0) == 0 && get(map, 0) == cookie_of(c.server));
  CHECK(put(map, 1, (uint32_t)c.client, 3) == -EINVAL);
  CHECK(put(map, 1, 1ull << 32, 0) == -EINVAL);
  CHECK(put(map, 1, 999, 0) == -EBADF);
  CHECK(put(map, 1, (uint32_t)map, 0) == -ENOTSOCK);
  CHECK(put(map, 1, (uint32_t)closed, 0) == -EOPNOTSUPP);
  CHECK(put(map, 1, (uint32_t)unbound, 0) == -EOPNOTSUPP);
  CHECK(put(map, 1, (uint32_t)alone, 0) == -EOPNOTSUPP);
  CHECK(put(map, 1, (uint32_t)netlink, 0) == -EOPNOTSUPP);
  CHECK(put(map, 1, (uint32_t)c.listener, 0) == 0);
  CHECK(put(map, 2, (uint32_t)datagram, 0) == 0);
  CHECK(put(map, 3, (uint32_t)pair[0], 0) == 0 && get(map, 3) == cookie_of(pair[0]));
  CHECK(put(map, 4, (uint32_t)loose, 0) == -E2BIG);
  CHECK(take(map, 3) == 0 && put(map, 3, (uint32_t)loose, 0) == 0);
  CHECK(put(small, 2, (uint32_t)c.client, 0) == 0 && get(small, 2) == -ENOSPC);
  CHECK(take(map, 2) == 0 && get(map, 2) == -ENOENT && take(map, 2) == (array ? -EINVAL : -ENOENT));
  // A socket leaves with its last descriptor.
  const int copy = dup(c.server);
  close(c.server);
  CHECK(get(map, 0) >= 0);
  close(copy);
  CHECK(get(map, 0) == -ENOENT);
  c.server = -1;
  close(map), close(small), close(closed), close(datagram), close(unbound), close(alone), close(netlink), close(loose);
  close(pair[0]), close(pair[1]);
  disconnect(c);
}

static int command(int number, int program, int map, uint32_t type) {
  union bpf_attr attr = {.target_fd = (uint32_t)map};
  attr.attach_bpf_fd = (uint32_t)program;
  attr.attach_type = type;
  return bpf_call(number, &attr) == 0 ? 0 : -errno;
}

static int queried(int map, uint32_t type, uint32_t* count) {
  uint32_t ids[2] = {};
  union bpf_attr attr = {};
  attr.query.target_fd = (uint32_t)map;
  attr.query.attach_type = type;
  attr.query.prog_ids = (uintptr_t)ids;
  attr.query.prog_cnt = LENGTH(ids);
  const int result = bpf_call(BPF_PROG_QUERY, &attr) == 0 ? (int)ids[0] : -errno;
  *count = attr.query.prog_cnt;
  return result;
}

static void check_map_programs(void) {
  const int map = make_map(BPF_MAP_TYPE_SOCKMAP, 4, 4), other = make_map(BPF_MAP_TYPE_SOCKHASH, 4, 4);
  const int plain = make_map(BPF_MAP_TYPE_ARRAY, 4, 4);
  const int skb = load_passing(BPF_PROG_TYPE_SK_SKB, 0), second = load_passing(BPF_PROG_TYPE_SK_SKB, 0);
  const int msg = load_passing(BPF_PROG_TYPE_SK_MSG, 0);
  const struct connection c = connected();
  uint32_t count;
  CHECK(queried(map, BPF_SK_MSG_VERDICT, &count) == 0 && count == 0);
  CHECK(queried(plain, BPF_SK_MSG_VERDICT, &count) == -EOPNOTSUPP);
  CHECK(queried(-1, BPF_SK_MSG_VERDICT, &count) == -EBADF);
  CHECK(command(BPF_PROG_ATTACH, msg, plain, BPF_SK_MSG_VERDICT) == -EOPNOTSUPP);
  CHECK(command(BPF_PROG_ATTACH, skb, map, BPF_SK_MSG_VERDICT) == -EINVAL);
  CHECK(command(BPF_PROG_DETACH, msg, map, BPF_SK_MSG_VERDICT) == -ENOENT);
  CHECK(command(BPF_PROG_ATTACH, msg, map, BPF_SK_MSG_VERDICT) == 0);
  CHECK(queried(map, BPF_SK_MSG_VERDICT, &count) == (int)program_id(msg) && count == 1);
  CHECK(command(BPF_PROG_ATTACH, skb, map, BPF_SK_SKB_STREAM_PARSER) == 0);
  CHECK(command(BPF_PROG_ATTACH, skb, map, BPF_SK_SKB_STREAM_VERDICT) == 0);
  CHECK(command(BPF_PROG_ATTACH, skb, map, BPF_SK_SKB_VERDICT) == -EBUSY);
  CHECK(queried(map, BPF_SK_SKB_VERDICT, &count) == -EBUSY && count == 0);
  CHECK(command(BPF_PROG_ATTACH, second, map, BPF_SK_SKB_STREAM_VERDICT) == 0);
  CHECK(command(BPF_PROG_DETACH, skb, map, BPF_SK_SKB_STREAM_VERDICT) == -ENOENT);
  CHECK(command(BPF_PROG_DETACH, second, map, BPF_SK_SKB_STREAM_VERDICT) == 0);
  CHECK(command(BPF_PROG_DETACH, skb, map, BPF_SK_SKB_STREAM_PARSER) == 0);
  // A socket gets its programs from one map.
  CHECK(put(map, 0, (uint32_t)c.client, 0) == 0);
  CHECK(put(map, 0, (uint32_t)c.client, 0) == -EBUSY);
  CHECK(put(other, 0, (uint32_t)c.client, 0) == 0);
  CHECK(command(BPF_PROG_ATTACH, msg, other, BPF_SK_MSG_VERDICT) == 0);
  CHECK(put(other, 1, (uint32_t)c.client, 0) == -EBUSY);
  CHECK(put(other, 1, (uint32_t)c.server, 0) == 0);
  CHECK(take(map, 0) == 0 && put(map, 0, (uint32_t)c.client, 0) == -EBUSY);
  disconnect(c);
  close(map), close(other), close(plain), close(skb), close(second), close(msg);
}

static void check_reuseport_array(void) {
  const int map = make_map(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 8, 2);
  const int socket_of = bound(SOCK_DGRAM, 1), alone = bound(SOCK_DGRAM, 0), stream = bound(SOCK_STREAM, 1);
  const int local = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK(get(map, 0) == -ENOENT && take(map, 0) == -ENOENT && take(map, 2) == -E2BIG);
  CHECK(put(map, 0, (uint32_t)alone, 0) == -EINVAL);
  CHECK(put(map, 0, (uint32_t)stream, 0) == -EINVAL);
  CHECK(put(map, 0, (uint32_t)local, 0) == -kNotSupported);
  CHECK(put(map, 0, (uint32_t)socket_of, 3) == -EINVAL);
  CHECK(put(map, 2, (uint32_t)socket_of, 0) == -E2BIG);
  CHECK(put(map, 0, (uint32_t)socket_of, BPF_EXIST) == -ENOENT);
  CHECK(put(map, 0, (uint32_t)socket_of, 0) == 0 && get(map, 0) == cookie_of(socket_of));
  CHECK(put(map, 1, (uint32_t)socket_of, 0) == -EBUSY);
  CHECK(put(map, 0, (uint32_t)socket_of, BPF_NOEXIST) == -EEXIST);
  CHECK(listen(stream, 1) == 0 && put(map, 0, (uint32_t)stream, 0) == 0);
  CHECK(put(map, 1, (uint32_t)socket_of, 0) == 0);
  CHECK(take(map, 1) == 0 && put(map, 1, (uint32_t)socket_of, 0) == 0);
  close(socket_of);
  CHECK(get(map, 1) == -ENOENT && get(map, 0) == cookie_of(stream));
  close(map), close(alone), close(stream), close(local);
}

static int set_option(int fd, int option, int value) {
  return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0 ? 0 : -errno;
}

static int is_loaded(uint32_t id) {
  union bpf_attr attr = {.prog_id = id};
  const int fd = bpf_call(BPF_PROG_GET_FD_BY_ID, &attr);
  close(fd);
  return fd >= 0;
}

static int goes(uint32_t id) {
  for (int i = 0; i < 200 && is_loaded(id); ++i) sleep_ms(10);
  return !is_loaded(id);
}

static void check_filters(void) {
  const int filter = load_passing(BPF_PROG_TYPE_SOCKET_FILTER, 0), other = load_passing(BPF_PROG_TYPE_XDP, 0);
  const int chooser = load_passing(BPF_PROG_TYPE_SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT);
  const uint32_t id = program_id(filter);
  const int fd = bound(SOCK_DGRAM, 1), plain = bound(SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_DGRAM, 0);
  char four = 4;
  CHECK(set_option(fd, SO_DETACH_FILTER, 0) == -ENOENT);
  CHECK(set_option(fd, SO_ATTACH_BPF, 999) == -EBADF);
  CHECK(set_option(fd, SO_ATTACH_BPF, other) == -EINVAL);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &four, 1) == -1 && errno == EINVAL);
  CHECK(set_option(fd, SO_ATTACH_BPF, filter) == 0);
  close(filter);
  CHECK(is_loaded(id));
  CHECK(set_option(fd, SO_DETACH_FILTER, 0) == 0 && set_option(fd, SO_DETACH_FILTER, 0) == -ENOENT);
  CHECK(goes(id));
  const int again = load_passing(BPF_PROG_TYPE_SOCKET_FILTER, 0);
  const uint32_t second = program_id(again);
  CHECK(set_option(fd, SO_ATTACH_REUSEPORT_EBPF, other) == -EINVAL);
  CHECK(set_option(local, SO_ATTACH_REUSEPORT_EBPF, chooser) == -kNotSupported);
  CHECK(set_option(plain, SO_ATTACH_REUSEPORT_EBPF, chooser) == -EINVAL);
  CHECK(set_option(fd, SO_DETACH_REUSEPORT_BPF, 0) == -ENOENT);
  CHECK(set_option(fd, SO_ATTACH_REUSEPORT_EBPF, chooser) == 0);
  CHECK(set_option(fd, SO_ATTACH_REUSEPORT_EBPF, again) == 0);
  CHECK(set_option(fd, SO_DETACH_REUSEPORT_BPF, 0) == 0 && set_option(fd, SO_DETACH_REUSEPORT_BPF, 0) == -ENOENT);
  CHECK(set_option(fd, SO_ATTACH_BPF, again) == 0);
  close(again);
  CHECK(set_option(fd, SO_LOCK_FILTER, 1) == 0);
  CHECK(set_option(fd, SO_DETACH_FILTER, 0) == -EPERM && set_option(fd, SO_ATTACH_BPF, other) == -EPERM);
  CHECK(is_loaded(second));
  close(fd);
  CHECK(goes(second));
  close(plain), close(local), close(other), close(chooser);
}

// The state of the socket that a program finds at `local`, as who sends from `peer`; 0: none.
static int found(int helper, struct sockaddr_in peer, struct sockaddr_in local) {
  enum { kState = offsetof(struct bpf_sock, state), kCall = BPF_JMP | BPF_CALL };
  const struct bpf_insn code[] = {
      {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -12, .imm = (int32_t)peer.sin_addr.s_addr},
      {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -8, .imm = (int32_t)local.sin_addr.s_addr},
      {.code = BPF_ST | BPF_MEM | BPF_H, .dst_reg = 10, .off = -4, .imm = peer.sin_port},
      {.code = BPF_ST | BPF_MEM | BPF_H, .dst_reg = 10, .off = -2, .imm = local.sin_port},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -12},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 12},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = -1},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 5, .imm = 0},
      {.code = kCall, .imm = helper},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 2, .imm = 0},
      RETURN(0),
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 7, .src_reg = 0, .off = kState},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 0},
      {.code = kCall, .imm = BPF_FUNC_sk_release},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 0, .src_reg = 7},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int program = load(BPF_PROG_TYPE_SCHED_CLS, 0, code, LENGTH(code));
  CHECK(program >= 0);
  char packet[64] = {};
  union bpf_attr attr = {};
  attr.test.prog_fd = (uint32_t)program;
  attr.test.data_in = (uintptr_t)packet;
  attr.test.data_size_in = sizeof packet;
  CHECK(bpf_call(BPF_PROG_TEST_RUN, &attr) == 0);
  close(program);
  return (int)attr.test.retval;
}

static void check_lookup(void) {
  enum { kEstablished = 1, kClose = 7, kListen = 10 };
  const struct connection c = connected();
  const int datagram = bound(SOCK_DGRAM, 0);
  struct sockaddr_in other = name_of(c.client);
  other.sin_port = htons(1);
  CHECK(found(BPF_FUNC_sk_lookup_tcp, name_of(c.client), name_of(c.server)) == kEstablished);
  CHECK(found(BPF_FUNC_sk_lookup_tcp, other, name_of(c.listener)) == kListen);
  CHECK(found(BPF_FUNC_skc_lookup_tcp, other, name_of(c.listener)) == kListen);
  CHECK(found(BPF_FUNC_sk_lookup_tcp, name_of(c.listener), other) == 0);
  CHECK(found(BPF_FUNC_sk_lookup_udp, other, name_of(datagram)) == kClose);
  CHECK(found(BPF_FUNC_sk_lookup_udp, name_of(datagram), other) == 0);
  disconnect(c);
  close(datagram);
}

static void bring_lo_up(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {.ifr_name = "lo"};
  ioctl(fd, SIOCGIFFLAGS, &request);
  request.ifr_flags |= IFF_UP;
  ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
}

int main(void) {
  const int map = make_map(BPF_MAP_TYPE_SOCKMAP, 8, 1);
  if (map < 0) {
    if (demanded()) printf("no maps of sockets, errno %d\n", errno);
    return 0;
  }
  close(map);
  bring_lo_up();
  check_elements(BPF_MAP_TYPE_SOCKMAP);
  check_elements(BPF_MAP_TYPE_SOCKHASH);
  check_map_programs();
  check_reuseport_array();
  check_filters();
  check_lookup();
  return 0;
}
