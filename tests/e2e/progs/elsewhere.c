// SPDX-License-Identifier: Apache-2.0
// Attaches in one way that goes to the host, and prints the errno. Netlink is spoken by hand, as libraries do: a socket
// that asks for extended errors changes devices, one that does not only reads.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct message {
  struct nlmsghdr head;
  union {
    struct tcmsg tc;
    struct ifinfomsg link;
  };
  char attributes[64];
};

static void add_body(struct message* m, size_t size) { m->head.nlmsg_len = NLMSG_LENGTH(size); }
static void add(struct message* m, unsigned short type, const void* value, size_t size) {
  const struct nlattr head = {.nla_len = NLA_HDRLEN + size, .nla_type = type};
  char* at = (char*)m + NLMSG_ALIGN(m->head.nlmsg_len);
  memcpy(at, &head, sizeof head);
  memcpy(at + NLA_HDRLEN, value, size);
  m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + NLA_ALIGN(NLA_HDRLEN + size);
}

// The error that the kernel answers with.
static long exchange(struct message* m, int by_sendmsg) {
  const int one = 1, fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct {
    struct nlmsghdr head;
    struct nlmsgerr error;
    char rest[4096];
  } reply;
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  struct iovec piece = {m, m->head.nlmsg_len};
  struct msghdr head = {.msg_iov = &piece, .msg_iovlen = 1};
  const long sent = by_sendmsg ? sendmsg(fd, &head, 0) : send(fd, m, m->head.nlmsg_len, 0);
  if (sent < 0 || recv(fd, &reply, sizeof reply, 0) < 0) return -1;
  close(fd);
  errno = -reply.error.error;
  return errno ? -1 : 0;
}

static long attach(const char* what) {
  struct message m = {.head = {.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE}};
  if (strcmp(what, "clsact") == 0 || strcmp(what, "filter") == 0) {
    const int filter = what[0] == 'f';
    m.head.nlmsg_type = filter ? RTM_NEWTFILTER : RTM_NEWQDISC;
    add_body(&m, sizeof m.tc);
    m.tc = (struct tcmsg){.tcm_ifindex = 1, .tcm_parent = TC_H_CLSACT, .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0)};
    filter ? add(&m, TCA_KIND, "bpf", 4) : add(&m, TCA_KIND, "clsact", 7);
    return exchange(&m, filter);
  }
  if (strcmp(what, "xdp") == 0) {
    const struct {
      struct nlattr head;
      int fd;
    } nested = {{sizeof nested, IFLA_XDP_FD}, 3};
    m.head.nlmsg_type = RTM_SETLINK;
    add_body(&m, sizeof m.link);
    m.link = (struct ifinfomsg){.ifi_index = 1};
    add(&m, IFLA_XDP | NLA_F_NESTED, &nested, sizeof nested);
    return exchange(&m, 0);
  }
  if (strcmp(what, "links") == 0) {
    m.head = (struct nlmsghdr){.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};
    add_body(&m, sizeof m.link);
    return exchange(&m, 0);
  }
  if (strcmp(what, "packet") == 0) return socket(AF_PACKET, SOCK_RAW, 0);
  if (strcmp(what, "udp") == 0) return socket(AF_INET, SOCK_DGRAM, 0);
  if (strcmp(what, "cgroup") == 0) return mount("none", "/mnt", "cgroup", 0, NULL);
  if (strcmp(what, "new cgroup") == 0) return syscall(SYS_fsopen, "cgroup", 0);
  if (strcmp(what, "new bpf") == 0) return syscall(SYS_fsopen, "bpf", 0);
  if (strcmp(what, "tmpfs") == 0) return mount("none", "/mnt", "tmpfs", 0, NULL);
  if (strcmp(what, "switches") == 0) {  // of the whole machine
    const struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CONTEXT_SWITCHES};
    return syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
  }
  return errno = EINVAL, -1;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  puts(attach(argv[1]) < 0 ? strerrorname_np(errno) : "done");
  return 0;
}
