// SPDX-License-Identifier: Apache-2.0
// Cgroups and the programs that are attached to them: who may be attached below whom, and calls on sockets that programs
// see, change and refuse. As root on the claimed kernel it says the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cgroup.h"

static const char* own_cgroup(void) {
  static char text[4096];
  const char* const all = read_from(AT_FDCWD, "/proc/self/cgroup");
  const char* const line = strncmp(all, "0::", 3) == 0 ? all - 1 : strstr(all, "\n0::");
  return line ? strcpy(text, line + 4) : "";
}

// The hierarchy: folders, members, what cannot be removed, numbers.
static void check_tree(void) {
  const int outer = make("outer"), inner = make("outer/inner");
  char path[256], pid[32];
  struct statfs fs;
  struct stat st;
  CHECK(fstatfs(outer, &fs) == 0 && fs.f_type == 0x63677270);
  CHECK(write_to(inner, "cgroup.procs", "abc") == -EINVAL);
  CHECK(write_to(inner, "cgroup.procs", "99999999") == -ESRCH);
  CHECK(strcmp(read_from(inner, "cgroup.type"), "domain\n") == 0);
  CHECK(strcmp(read_from(inner, "cgroup.events"), "populated 0\nfrozen 0\n") == 0);
  CHECK(strncmp(read_from(outer, "cgroup.stat"), "nr_descendants 1\n", 17) == 0);
  CHECK(write_to(inner, "cgroup.procs", "0") == 0);
  snprintf(pid, sizeof pid, "%d\n", getpid());
  CHECK(strcmp(read_from(inner, "cgroup.procs"), pid) == 0);
  CHECK(strcmp(read_from(outer, "cgroup.events"), "populated 1\nfrozen 0\n") == 0);
  CHECK(strcmp(own_cgroup(), "/outer/inner\n") == 0);
  const pid_t child = fork();
  if (child == 0) _exit(strcmp(own_cgroup(), "/outer/inner\n") == 0 ? 0 : 1);
  CHECK(ended(child) == 0);
  snprintf(path, sizeof path, "%s/outer/inner", folder);
  CHECK(rmdir(path) == -1 && errno == EBUSY);
  struct {
    struct file_handle head;
    uint64_t id;
  } handle = {.head.handle_bytes = 0};
  int mount_id;
  CHECK(name_to_handle_at(AT_FDCWD, path, &handle.head, &mount_id, 0) == -1 && errno == EOVERFLOW);
  CHECK(handle.head.handle_bytes == 8);
  CHECK(name_to_handle_at(AT_FDCWD, path, &handle.head, &mount_id, 0) == 0);
  CHECK(fstat(inner, &st) == 0 && st.st_ino == handle.id);
  CHECK(stat(path, &st) == 0 && st.st_ino == handle.id);
  CHECK(write_to(AT_FDCWD, strcat(strcpy(path, folder), "/cgroup.procs"), "0") == 0);
  snprintf(path, sizeof path, "%s/outer", folder);
  CHECK(rmdir(path) == -1 && errno == EBUSY);
  strcat(path, "/inner");
  CHECK(rmdir(path) == 0 && rmdir(path) == -1 && errno == ENOENT);
  CHECK(mkdirat(inner, "below", 0755) == -1 && errno == ENOENT);
  snprintf(path, sizeof path, "%s/outer", folder);
  CHECK(rmdir(path) == 0);
  close(outer), close(inner);
}

enum { kBind = BPF_CGROUP_INET4_BIND, kSkb = BPF_CGROUP_INET_EGRESS };

// Who may be attached where, with which flags.
static void check_rules(void) {
  const int outer = make("outer"), inner = make("outer/inner");
  const int first = load_returning(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, kBind, 1);
  const int second = load_returning(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, kBind, 1);
  const int other = load_returning(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, 1);
  CHECK(attach(outer, other, kBind, 0) == -EINVAL);
  CHECK(attach(0, first, kBind, 0) == -EBADF);
  CHECK(attach(outer, first, kBind, BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE) == -EINVAL);
  CHECK(attach(outer, first, kBind, BPF_F_REPLACE) == -EINVAL);
  CHECK(detach(outer, first, kBind) == -ENOENT);
  // One alone, and none below.
  CHECK(attach(outer, first, kBind, 0) == 0);
  CHECK(attach(inner, second, kBind, 0) == -EPERM);
  CHECK(attach(outer, second, kBind, BPF_F_ALLOW_MULTI) == -EPERM);
  CHECK(attach(outer, second, kBind, 0) == 0);  // takes its place
  CHECK(queried(outer, kBind, 0) == 1 && queried(inner, kBind, BPF_F_QUERY_EFFECTIVE) == 1);
  CHECK(queried(inner, kBind, 0) == 0);
  CHECK(detach(outer, -1, kBind) == 0);
  // One that those below may override.
  CHECK(attach(outer, first, kBind, BPF_F_ALLOW_OVERRIDE) == 0);
  CHECK(attach(inner, second, kBind, BPF_F_ALLOW_OVERRIDE) == 0);
  CHECK(queried(inner, kBind, BPF_F_QUERY_EFFECTIVE) == 1);
  CHECK(detach(inner, second, kBind) == 0 && detach(outer, first, kBind) == 0);
  // Many.
  CHECK(attach(outer, first, kBind, BPF_F_ALLOW_MULTI) == 0);
  CHECK(attach(outer, first, kBind, BPF_F_ALLOW_MULTI) == -EINVAL);
  CHECK(attach(outer, second, kBind, BPF_F_ALLOW_MULTI) == 0);
  CHECK(attach(inner, first, kBind, BPF_F_ALLOW_MULTI) == 0);
  CHECK(queried(inner, kBind, BPF_F_QUERY_EFFECTIVE) == 3 && queried(outer, kBind, 0) == 2);
  CHECK(detach(outer, -1, kBind) == -EINVAL);
  const int link = attach_link(inner, second, kBind);
  CHECK(link >= 0 && queried(inner, kBind, 0) == 2);
  CHECK(detach(inner, second, kBind) == -ENOENT);
  // The link outlives its cgroup.
  char path[256];
  snprintf(path, sizeof path, "%s/outer/inner", folder);
  CHECK(rmdir(path) == 0);
  struct bpf_link_info info = {};
  union bpf_attr attr = {};
  attr.info.bpf_fd = (uint32_t)link;
  attr.info.info = (uintptr_t)&info;
  attr.info.info_len = sizeof info;
  for (int i = 0; i < 100; ++i) {  // the kernel does it when it has time
    if (bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) != 0 || info.cgroup.cgroup_id == 0) break;
    sleep_ms(20);
  }
  CHECK(info.cgroup.cgroup_id == 0 && info.cgroup.attach_type == kBind);
  CHECK(queried(inner, kBind, 0) == -ENOENT);
  snprintf(path, sizeof path, "%s/outer", folder);
  CHECK(rmdir(path) == 0);
  close(link), close(outer), close(inner), close(first), close(second), close(other);
}

static struct sockaddr_in local(uint16_t port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

#define AS_NAME(name) (const struct sockaddr*)&(name), sizeof(name)

// bind() to port 7001 leads to 7002, one to 7003 is refused; what was asked for is left as it is.
static void check_bind(int cgroup) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct bpf_sock_addr, user_port)},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 2, .imm = htons(7001)},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = htons(7002)},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 3, .off = offsetof(struct bpf_sock_addr, user_port)},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 1, .imm = htons(7003)},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int program = load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, kBind, code, LENGTH(code));
  CHECK(attach(cgroup, program, kBind, 0) == 0);
  const int socket_fd = socket(AF_INET, SOCK_DGRAM, 0), refused = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in name = local(7001);
  CHECK(bind(socket_fd, AS_NAME(name)) == 0 && ntohs(name.sin_port) == 7001);
  socklen_t size = sizeof name;
  CHECK(getsockname(socket_fd, (struct sockaddr*)&name, &size) == 0 && ntohs(name.sin_port) == 7002);
  name = local(7003);
  CHECK(bind(refused, AS_NAME(name)) == -1 && errno == EPERM);
  CHECK(detach(cgroup, program, kBind) == 0);
  CHECK(bind(refused, AS_NAME(name)) == 0);
  close(socket_fd), close(refused), close(program);
}

// connect(), sendto() and recvfrom() of port 7001 are led to 7002 and back.
static int load_redirect(uint32_t attach_type, uint16_t from, uint16_t to) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct bpf_sock_addr, user_port)},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 2, .imm = htons(from)},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = htons(to)},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 3, .off = offsetof(struct bpf_sock_addr, user_port)},
      {.code = BPF_JMP | BPF_EXIT},
  };
  return load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, attach_type, code, LENGTH(code));
}

static void check_redirect(int cgroup) {
  const int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
  const struct sockaddr_in real = local(7002), shown = local(7001);
  CHECK(bind(server, AS_NAME(real)) == 0);
  const struct {
    uint32_t type;
    uint16_t from, to;
  } ways[] = {{BPF_CGROUP_UDP4_SENDMSG, 7001, 7002}, {BPF_CGROUP_UDP4_RECVMSG, 7002, 7001},
              {BPF_CGROUP_INET4_CONNECT, 7001, 7002}, {BPF_CGROUP_INET4_GETPEERNAME, 7002, 7001}};
  int programs[LENGTH(ways)];
  for (size_t i = 0; i < LENGTH(ways); ++i) {
    programs[i] = load_redirect(ways[i].type, ways[i].from, ways[i].to);
    CHECK(attach(cgroup, programs[i], ways[i].type, 0) == 0);
  }
  char text[8];
  struct sockaddr_in from = {};
  socklen_t size = sizeof from;
  CHECK(sendto(client, "to", 2, 0, AS_NAME(shown)) == 2);
  CHECK(recvfrom(server, text, sizeof text, MSG_DONTWAIT, (struct sockaddr*)&from, &size) == 2);
  CHECK(sendto(server, "back", 4, 0, AS_NAME(from)) == 4);
  struct iovec part = {text, sizeof text};
  struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
  CHECK(recvmsg(client, &message, MSG_DONTWAIT) == 4 && ntohs(from.sin_port) == 7001);
  struct sockaddr_in to = shown;
  struct iovec sent = {"again", 5};
  struct msghdr again = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &sent, .msg_iovlen = 1};
  CHECK(sendmsg(client, &again, 0) == 5 && recv(server, text, sizeof text, MSG_DONTWAIT) == 5);
  CHECK(ntohs(to.sin_port) == 7001);
  CHECK(connect(client, AS_NAME(shown)) == 0);
  CHECK(send(client, "more", 4, 0) == 4 && recv(server, text, sizeof text, MSG_DONTWAIT) == 4);
  size = sizeof from;
  CHECK(getpeername(client, (struct sockaddr*)&from, &size) == 0 && size == sizeof from && ntohs(from.sin_port) == 7001);
  for (size_t i = 0; i < LENGTH(ways); ++i) {
    CHECK(detach(cgroup, programs[i], ways[i].type) == 0);
    close(programs[i]);
  }
  size = sizeof from;
  CHECK(getpeername(client, (struct sockaddr*)&from, &size) == 0 && ntohs(from.sin_port) == 7002);
  close(server), close(client);
}

// Sockets that may not be made, addresses that turn out wrong behind a bind().
static void check_sockets(int cgroup) {
  const int refuses = load_returning(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, 0);
  CHECK(attach(cgroup, refuses, BPF_CGROUP_INET_SOCK_CREATE, 0) == 0);
  const int next = dup(0);
  close(next);
  CHECK(socket(AF_INET, SOCK_DGRAM, 0) == -1 && errno == EPERM);
  CHECK(socket(AF_INET6, SOCK_STREAM, 0) == -1 && errno == EPERM);
  CHECK(socket(AF_INET, 77, 0) == -1 && errno == EINVAL);
  const int local_one = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(local_one == next);
  close(local_one);
  CHECK(detach(cgroup, refuses, BPF_CGROUP_INET_SOCK_CREATE) == 0);
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct bpf_sock, src_port)},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 1, .imm = 7004},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int behind = load(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND, code, LENGTH(code));
  CHECK(attach(cgroup, behind, BPF_CGROUP_INET4_POST_BIND, 0) == 0);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in name = local(7004);
  CHECK(bind(fd, AS_NAME(name)) == -1 && errno == EPERM);
  socklen_t size = sizeof name;
  CHECK(getsockname(fd, (struct sockaddr*)&name, &size) == 0 && name.sin_port == 0);
  name = local(0);
  CHECK(bind(fd, AS_NAME(name)) == 0 && getsockname(fd, (struct sockaddr*)&name, &size) == 0 && name.sin_port != 0);
  CHECK(detach(cgroup, behind, BPF_CGROUP_INET4_POST_BIND) == 0);
  close(fd), close(refuses), close(behind);
}

// Options: refused, answered by the program, changed on their way.
static void check_options(int cgroup) {
  const int kGet = BPF_CGROUP_GETSOCKOPT, kSet = BPF_CGROUP_SETSOCKOPT;
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const int passes = load_returning(BPF_PROG_TYPE_CGROUP_SOCKOPT, kGet, 1);
  const int refuses = load_returning(BPF_PROG_TYPE_CGROUP_SOCKOPT, kGet, 0);
  int value = 0x10;
  CHECK(setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof value) == 0);
  unsigned char byte = 0;
  socklen_t size = 1;
  CHECK(attach(cgroup, passes, kGet, 0) == 0);
  CHECK(getsockopt(fd, IPPROTO_IP, IP_TOS, &byte, &size) == 0 && byte == 0x10 && size == 1);
  size = sizeof value;
  CHECK(getsockopt(fd, IPPROTO_IP, 7777, &value, &size) == -1 && errno == ENOPROTOOPT);
  CHECK(attach(cgroup, refuses, kGet, 0) == 0);
  CHECK(getsockopt(fd, IPPROTO_IP, IP_TOS, &byte, &size) == -1 && errno == EPERM);
  CHECK(detach(cgroup, refuses, kGet) == 0);
  // The first byte of the value becomes 0x20.
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct bpf_sockopt, optval)},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = 1, .off = offsetof(struct bpf_sockopt, optval_end)},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 4, .src_reg = 2},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 4, .imm = 1},
      {.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 4, .src_reg = 3, .off = 1},
      {.code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = 2, .imm = 0x20},
      RETURN(1),
  };
  const int changes = load(BPF_PROG_TYPE_CGROUP_SOCKOPT, kSet, code, LENGTH(code));
  CHECK(attach(cgroup, changes, kSet, 0) == 0);
  value = 0x10;
  CHECK(setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof value) == 0 && value == 0x10);
  size = sizeof value;
  CHECK(getsockopt(fd, IPPROTO_IP, IP_TOS, &value, &size) == 0 && value == 0x20);
  CHECK(detach(cgroup, changes, kSet) == 0);
  close(fd), close(passes), close(refuses), close(changes);
}

int main(void) {
  if (!mount_cgroups()) return 0;
  check_tree();
  check_rules();
  const int cgroup = make("run");
  CHECK(write_to(cgroup, "cgroup.procs", "0") == 0);
  check_bind(cgroup);
  check_redirect(cgroup);
  check_sockets(cgroup);
  check_options(cgroup);
  close(cgroup);
  leave_cgroup("run");
  unmount_cgroups();
  return 0;
}
