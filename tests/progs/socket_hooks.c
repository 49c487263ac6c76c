// SPDX-License-Identifier: Apache-2.0
// The kernel's functions that calls on TCP sockets pass, in order, with the states that connections go through: two
// ends on this machine, so that one call tells of both. As root on a bare 6.1 the kernel itself answers; where nobody
// can probe, what is expected is printed.
#include "counter.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { kMost = 64, kState = 0x100 };

static int log_map;

// Appends `what` to the log, or the two states of inet_sock_set_state, in this process alone.
static int load_logger(uint32_t type, int what) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 21, .imm = getpid()},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 7, .imm = what},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 7, .off = 5, .imm = kState},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 7, .src_reg = 6, .off = type == BPF_PROG_TYPE_TRACEPOINT ? 16 : 0},
      {.code = BPF_ALU64 | BPF_LSH | BPF_K, .dst_reg = 7, .imm = 4},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 8, .src_reg = 6, .off = type == BPF_PROG_TYPE_TRACEPOINT ? 20 : 0},
      {.code = BPF_ALU64 | BPF_OR | BPF_X, .dst_reg = 7, .src_reg = 8},
      {.code = BPF_ALU64 | BPF_OR | BPF_K, .dst_reg = 7, .imm = kState},
      ELEMENT(log_map, 0),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 7},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
      {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD | BPF_FETCH},
      {.code = BPF_JMP | BPF_JGE | BPF_K, .dst_reg = 1, .off = 4, .imm = kMost},
      {.code = BPF_ALU64 | BPF_LSH | BPF_K, .dst_reg = 1, .imm = 1},
      {.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = 0, .src_reg = 1},
      {.code = BPF_STX | BPF_MEM | BPF_H, .dst_reg = 0, .src_reg = 7, .off = 8},
      {.code = BPF_JMP | BPF_JA},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attr = {.prog_type = type, .insn_cnt = sizeof code / sizeof code[0]};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static int attach(int program_type, int what, struct perf_event_attr* event) {
  event->size = sizeof *event;
  event->sample_period = 1;
  const int program = load_logger(program_type, what);
  const int fd = syscall(SYS_perf_event_open, event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  const int attached = program >= 0 && fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0;
  if (!attached && demanded()) printf("cannot probe '%c': program %d, event %d, errno %d\n", what, program, fd, errno);
  return attached;
}

static int log_function(const char* function, int at_return, int what) {
  struct perf_event_attr event = {.type = number_in("/sys/bus/event_source/devices/kprobe/type"), .config = at_return};
  event.kprobe_func = (uintptr_t)function;
  return event.type && attach(BPF_PROG_TYPE_KPROBE, what, &event);
}

static const struct {
  const char* name;
  char entry, back;
} functions[] = {
    {"inet_bind", 'B', 'b'},
    {"inet6_bind", 'B', 'b'},
    {"inet_listen", 'L', 'l'},
    {"tcp_v4_connect", 'C', 'c'},
    {"tcp_v6_connect", 'C', 'c'},
    {"tcp_connect", 'K', 0},
    {"inet_csk_accept", 'A', 'a'},
    {"tcp_rcv_state_process", 'P', 0},
    {"tcp_set_state", 'S', 0},
    {"tcp_v4_syn_recv_sock", 'Y', 'y'},
    {"tcp_v6_syn_recv_sock", 'Y', 'y'},
    {"tcp_close", 'X', 'x'},
    {"tcp_sendmsg", 'M', 'm'},
    {"tcp_recvmsg", 'R', 'r'},
    {"tcp_cleanup_rbuf", 'U', 0},
    {"tcp_sendpage", 'W', 0},
    {"udp_sendmsg", 'G', 'g'},
    {"udpv6_sendmsg", 'G', 'g'},
    {"udp_recvmsg", 'H', 'h'},
    {"udpv6_recvmsg", 'H', 'h'},
    {"unix_stream_connect", 'E', 'e'},
    {"unix_stream_sendmsg", 'N', 'n'},
    {"unix_stream_recvmsg", 'Q', 'q'},
    {"unix_stream_read_actor", 'T', 0},
    {"security_socket_create", 'O', 0},
};

static int log_all(void) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8 + 2 * kMost, .max_entries = 1};
  log_map = bpf_call(BPF_MAP_CREATE, &attr);
  if (!is_open(log_map)) return 0;
  int all = 1;
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; ++i) {
    all &= log_function(functions[i].name, 0, functions[i].entry);
    if (functions[i].back) all &= log_function(functions[i].name, 1, functions[i].back);
  }
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT,
                                  .config = number_in("/sys/kernel/tracing/events/sock/inet_sock_set_state/id")};
  return event.config && attach(BPF_PROG_TYPE_TRACEPOINT, kState, &event) && all;
}

static int logs;

// What was passed since the last step; nobody logs: what should have been.
static void step(const char* name, const char* expected) {
  struct {
    uint64_t count;
    uint16_t what[kMost];
  } log = {};
  if (!logs) {
    printf("%-9s %s\n", name, expected);
    return;
  }
  uint32_t key = 0;
  union bpf_attr attr = {.map_fd = log_map, .key = (uintptr_t)&key, .value = (uintptr_t)&log};
  CHECK(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0);
  printf("%-9s ", name);
  for (uint64_t i = 0; i < log.count && i < kMost; ++i)
    if (log.what[i] < kState)
      printf("%c", log.what[i]);
    else
      printf("%d>%d ", log.what[i] >> 4 & 15, log.what[i] & 15);
  printf("\n");
  memset(&log, 0, sizeof log);
  CHECK(bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == 0);
}

static char pages[9000];

static void both_ends(int family) {
  struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in name4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  void* name = family == AF_INET ? (void*)&name4 : &name6;
  socklen_t size = family == AF_INET ? sizeof name4 : sizeof name6;
  char data[100] = "";
  printf("family %d\n", family);
  int listener = socket(family, SOCK_STREAM, 0), client = socket(family, SOCK_STREAM, 0);
  step("socket", "OO");
  CHECK(bind(listener, name, size) == 0);
  step("bind", "Bb");
  CHECK(listen(listener, 4) == 0);
  step("listen", "L7>10 l");
  CHECK(getsockname(listener, name, &size) == 0);
  CHECK(connect(client, name, size) == 0);
  step("connect", "CS7>2 KPcPS2>1 Y10>3 yPS3>1 ");
  int accepted = accept(listener, NULL, NULL);
  CHECK(accepted >= 0);
  step("accept", "Aa");
  CHECK(send(client, data, sizeof data, 0) == sizeof data);
  step("send", "Mm");
  CHECK(recv(accepted, data, sizeof data, 0) == sizeof data);
  step("recv", "RUr");
  CHECK(recv(accepted, data, sizeof data, MSG_DONTWAIT) == -1);
  step("nothing", "RUr");
  CHECK(write(accepted, data, 10) == 10);
  step("write", "Mm");
  CHECK(read(client, data, sizeof data) == 10);
  step("read", "RUr");
  int copy = dup(client);
  CHECK(close(copy) == 0);
  step("one of 2", "");
  CHECK(close(client) == 0);
  step("close", "XS1>4 S1>8 x");
  CHECK(recv(accepted, data, sizeof data, 0) == 0);
  step("end", "RUr");
  CHECK(close(accepted) == 0);
  step("close", "XS8>9 PS4>5 S5>7 PS9>7 x");
  // What has not been read is answered with a reset.
  client = socket(family, SOCK_STREAM, 0);
  CHECK(connect(client, name, size) == 0);
  step("connect", "OCS7>2 KPcPS2>1 Y10>3 yPS3>1 ");
  accepted = accept(listener, NULL, NULL);
  step("accept", "Aa");
  const int at_once = 1;
  CHECK(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) == 0);
  struct iovec parts[] = {{data, 3}, {data + 3, 4}};
  CHECK(writev(client, parts, 2) == 7);
  CHECK(readv(accepted, parts, 2) == 7);
  step("vectors", "MmRUr");
  struct mmsghdr two[2] = {{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 1}},
                           {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}}};
  CHECK(sendmmsg(client, two, 2, 0) == 2);
  step("two", "MmMm");
  struct msghdr all = {.msg_iov = &(struct iovec){data, sizeof data}, .msg_iovlen = 1};
  CHECK(recvmsg(accepted, &all, 0) == 10);
  step("both", "RUr");
  int file = memfd_create("pages", MFD_CLOEXEC);
  off_t from = 100;
  CHECK(ftruncate(file, 20000) == 0 && sendfile(client, file, &from, 9000) == 9000);
  CHECK(close(file) == 0 && recv(accepted, pages, sizeof pages, MSG_WAITALL) == 9000);
  step("sendfile", "WWWRUr");
  CHECK(send(client, data, 1, 0) == 1);
  step("send", "Mm");
  CHECK(close(accepted) == 0);
  step("reset", "XS1>7 S1>7 x");
  CHECK(close(client) == 0);
  step("close", "Xx");
  CHECK(close(listener) == 0);
  step("close", "XS10>7 x");
  client = socket(family, SOCK_STREAM, 0);
  CHECK(connect(client, name, size) == -1 && errno == ECONNREFUSED);
  step("refused", "OCS7>2 KcPS2>7 ");
  CHECK(close(client) == 0);
  step("close", "Xx");
}

static void datagrams(int family) {
  struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in name4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  void* name = family == AF_INET ? (void*)&name4 : &name6;
  socklen_t size = family == AF_INET ? sizeof name4 : sizeof name6;
  char data[100] = "";
  printf("datagrams of family %d\n", family);
  int here = socket(family, SOCK_DGRAM, 0), there = socket(family, SOCK_DGRAM, 0);
  CHECK(bind(there, name, size) == 0 && getsockname(there, name, &size) == 0);
  step("bind", "OOBb");
  CHECK(sendto(here, data, 50, 0, name, size) == 50);
  step("sendto", "Gg");
  CHECK(recv(there, data, sizeof data, 0) == 50);
  step("recv", "Hh");
  CHECK(connect(here, name, size) == 0 && write(here, data, 9) == 9);
  step("write", "Gg");
  CHECK(read(there, data, sizeof data) == 9 && recv(there, data, sizeof data, MSG_DONTWAIT) == -1);
  step("read", "HhHh");
  CHECK(close(here) == 0 && close(there) == 0);
  step("close", "");
}

static void local_streams(void) {
  char data[100] = "";
  int ends[2];
  printf("UNIX streams\n");
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  step("pair", "OO");
  CHECK(send(ends[0], data, 10, 0) == 10);
  step("send", "Nn");
  CHECK(recv(ends[1], data, sizeof data, 0) == 10);
  step("recv", "QTq");
  CHECK(recv(ends[1], data, sizeof data, MSG_DONTWAIT) == -1);
  step("nothing", "Qq");
  CHECK(close(ends[0]) == 0 && read(ends[1], data, sizeof data) == 0);
  step("end", "Qq");
  CHECK(close(ends[1]) == 0);
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0bpfemu-socket-hooks"};
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(client, (void*)&name, sizeof name) == -1 && errno == ECONNREFUSED);
  step("refused", "OEe");
  CHECK(close(client) == 0);
}

int main(void) {
  logs = log_all();
  both_ends(AF_INET);
  both_ends(AF_INET6);
  datagrams(AF_INET);
  datagrams(AF_INET6);
  local_streams();
}
