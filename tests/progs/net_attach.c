// SPDX-License-Identifier: Apache-2.0
// Programs of network devices and network namespaces: by link, by rtnetlink and by BPF_PROG_ATTACH; who excludes whom,
// with which error, and what is shown of it. As root on the claimed kernel it says the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "counter.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define RETURN(value) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (value)}, {.code = BPF_JMP | BPF_EXIT}

enum { kLo = 1, kNoDevice = 987654 };

static int load(uint32_t type, uint32_t attach) {
  const struct bpf_insn code[] = {RETURN(type == BPF_PROG_TYPE_SK_LOOKUP ? 1 : type == BPF_PROG_TYPE_XDP ? XDP_PASS : 0)};
  union bpf_attr attr = {.prog_type = type};
  attr.expected_attach_type = attach;
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = LENGTH(code);
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static uint32_t program_id(int program) {
  struct bpf_prog_info info = {};
  union bpf_attr attr = {.info = {(uint32_t)program, sizeof info, (uintptr_t)&info}};
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
  return info.id;
}

static struct bpf_link_info link_info(int link) {
  struct bpf_link_info info = {};
  union bpf_attr attr = {.info = {(uint32_t)link, sizeof info, (uintptr_t)&info}};
  CHECK(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
  return info;
}

static int make_link(int program, int target, uint32_t type, uint32_t flags) {
  union bpf_attr attr = {};
  attr.link_create.prog_fd = (uint32_t)program;
  attr.link_create.target_fd = (uint32_t)target;
  attr.link_create.attach_type = type;
  attr.link_create.flags = flags;
  const int link = bpf_call(BPF_LINK_CREATE, &attr);
  return link < 0 ? -errno : link;
}

static int update_link(int link, int program, int old) {
  union bpf_attr attr = {};
  attr.link_update.link_fd = (uint32_t)link;
  attr.link_update.new_prog_fd = (uint32_t)program;
  attr.link_update.old_prog_fd = old < 0 ? 0 : (uint32_t)old;
  attr.link_update.flags = old < 0 ? 0 : BPF_F_REPLACE;
  return bpf_call(BPF_LINK_UPDATE, &attr) == 0 ? 0 : -errno;
}

static int detach_link(int link) {
  union bpf_attr attr = {};
  attr.link_detach.link_fd = (uint32_t)link;
  return bpf_call(BPF_LINK_DETACH, &attr) == 0 ? 0 : -errno;
}

static int prog_command(int command, int program, int target, uint32_t type, uint32_t flags) {
  union bpf_attr attr = {.target_fd = (uint32_t)target};
  attr.attach_bpf_fd = (uint32_t)program;
  attr.attach_type = type;
  attr.attach_flags = flags;
  return bpf_call(command, &attr) == 0 ? 0 : -errno;
}

// The id of the first program, how many there are in `count`; an error as minus one of them.
static int queried(int target, uint32_t type, uint32_t* count) {
  uint32_t ids[4] = {};
  union bpf_attr attr = {};
  attr.query.target_fd = (uint32_t)target;
  attr.query.attach_type = type;
  attr.query.prog_ids = (uintptr_t)ids;
  attr.query.prog_cnt = *count;
  const int result = bpf_call(BPF_PROG_QUERY, &attr) == 0 ? (int)ids[0] : -errno;
  *count = attr.query.prog_cnt;
  return result;
}

static int has_line(int fd, const char* line) {
  char path[64], text[2048] = {};
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  const int info = open(path, O_RDONLY);
  const ssize_t size = read(info, text, sizeof text - 1);
  close(info);
  return size > 0 && strstr(text, line) != NULL;
}

// rtnetlink.

struct request {
  struct nlmsghdr head;
  struct ifinfomsg device;
  char attributes[128];
};

static void put(struct request* request, uint16_t type, const void* value, uint16_t size) {
  struct nlattr* const attribute = (struct nlattr*)((char*)request + NLMSG_ALIGN(request->head.nlmsg_len));
  *attribute = (struct nlattr){(uint16_t)(sizeof *attribute + size), type};
  memcpy(attribute + 1, value, size);
  request->head.nlmsg_len += NLA_ALIGN(sizeof *attribute + size);
}

// What the kernel's text for the last refusal was, "" for none.
static char refusal[128];

static int route_socket(int with_errors) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), on = 1;
  struct sockaddr_nl name = {.nl_family = AF_NETLINK};
  CHECK(bind(fd, (struct sockaddr*)&name, sizeof name) == 0);
  if (with_errors) CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) == 0);
  return fd;
}

// The acknowledgement of the request `asked`.
static int acknowledged(int fd, const struct request* asked) {
  char answer[1024];
  const ssize_t peeked = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
  const ssize_t size = recv(fd, answer, sizeof answer, 0);
  const struct nlmsghdr* const head = (struct nlmsghdr*)answer;
  const struct nlmsgerr* const error = NLMSG_DATA(head);
  CHECK(peeked == size && (size_t)size >= NLMSG_LENGTH(sizeof *error) && head->nlmsg_len == size);
  CHECK(head->nlmsg_type == NLMSG_ERROR && head->nlmsg_seq == asked->head.nlmsg_seq);
  CHECK(error->msg.nlmsg_type == asked->head.nlmsg_type && error->msg.nlmsg_flags == asked->head.nlmsg_flags &&
        error->msg.nlmsg_len == asked->head.nlmsg_len);
  CHECK(!(head->nlmsg_flags & NLM_F_CAPPED) == (error->error != 0));
  refusal[0] = '\0';
  size_t at = NLMSG_LENGTH(sizeof *error) + (error->error ? asked->head.nlmsg_len - sizeof asked->head : 0);
  if (head->nlmsg_flags & NLM_F_ACK_TLVS) {
    const struct nlattr* const text = (struct nlattr*)(answer + at);
    CHECK(text->nla_type == NLMSGERR_ATTR_MSG);
    snprintf(refusal, sizeof refusal, "%s", (const char*)(text + 1));
    at += NLA_ALIGN(text->nla_len);
  }
  CHECK(at == (size_t)size);
  return error->error;
}

enum { kNoFd = -2 };

static uint32_t sequence = 100;

static struct request xdp_message(int device, int program, uint32_t flags, int expected) {
  struct request request = {{NLMSG_LENGTH(sizeof request.device), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, ++sequence, 0},
                            {.ifi_index = device},
                            {}};
  char nested[64];
  uint16_t size = 0;
  const struct {
    uint16_t type;
    int32_t value;
    int given;
  } fields[] = {{IFLA_XDP_FD, program, program != kNoFd},
                {IFLA_XDP_FLAGS, (int32_t)flags, flags != 0},
                {IFLA_XDP_EXPECTED_FD, expected, expected != kNoFd}};
  for (size_t i = 0; i < LENGTH(fields); ++i) {
    if (!fields[i].given) continue;
    const struct nlattr head = {sizeof head + sizeof(int32_t), fields[i].type};
    memcpy(nested + size, &head, sizeof head);
    memcpy(nested + size + sizeof head, &fields[i].value, sizeof(int32_t));
    size += head.nla_len;
  }
  put(&request, IFLA_XDP | NLA_F_NESTED, nested, size);
  return request;
}

static int set_xdp(int fd, int device, int program, uint32_t flags, int expected) {
  const struct request request = xdp_message(device, program, flags, expected);
  CHECK(send(fd, &request, request.head.nlmsg_len, 0) == (ssize_t)request.head.nlmsg_len);
  return acknowledged(fd, &request);
}

struct shown {
  int attached;
  uint32_t id, skb_id, drv_id;
};

static struct shown shown_in(const struct nlattr* nest) {
  struct shown shown = {.attached = -1};
  for (size_t at = sizeof *nest; at < nest->nla_len;) {
    const struct nlattr* const field = (const struct nlattr*)((const char*)nest + at);
    const void* const value = field + 1;
    if (field->nla_type == IFLA_XDP_ATTACHED) shown.attached = *(const uint8_t*)value;
    if (field->nla_type == IFLA_XDP_PROG_ID) shown.id = *(const uint32_t*)value;
    if (field->nla_type == IFLA_XDP_SKB_PROG_ID) shown.skb_id = *(const uint32_t*)value;
    if (field->nla_type == IFLA_XDP_DRV_PROG_ID) shown.drv_id = *(const uint32_t*)value;
    at += NLA_ALIGN(field->nla_len);
  }
  return shown;
}

// What rtnetlink shows of lo's programs, asked alone or for all devices; the two ways of receiving.
static struct shown shown_of_lo(int fd, int dump, int by_recvmsg) {
  struct shown shown = {.attached = -1};
  struct request request = {{NLMSG_LENGTH(sizeof request.device), RTM_GETLINK, NLM_F_REQUEST, ++sequence, 0}, {}, {}};
  if (dump) request.head.nlmsg_flags |= NLM_F_DUMP;
  if (!dump) request.device.ifi_index = kLo;
  CHECK(send(fd, &request, request.head.nlmsg_len, 0) == (ssize_t)request.head.nlmsg_len);
  for (int done = 0; !done;) {
    static char answer[65536];
    struct iovec parts[] = {{answer, 100}, {answer + 100, sizeof answer - 100}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    const ssize_t size = by_recvmsg ? recvmsg(fd, &message, 0) : recv(fd, answer, sizeof answer, 0);
    CHECK(size > 0 && message.msg_flags == 0);
    unsigned left = size > 0 ? (unsigned)size : 0;
    for (struct nlmsghdr* head = (struct nlmsghdr*)answer; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
      done |= !dump || head->nlmsg_type == NLMSG_DONE;
      const struct ifinfomsg* const device = NLMSG_DATA(head);
      if (head->nlmsg_type != RTM_NEWLINK || device->ifi_index != kLo) continue;
      for (size_t at = NLMSG_LENGTH(sizeof *device); at < head->nlmsg_len;) {
        const struct nlattr* const field = (const struct nlattr*)((char*)head + at);
        if ((field->nla_type & NLA_TYPE_MASK) == IFLA_XDP) shown = shown_in(field);
        at += NLA_ALIGN(field->nla_len);
      }
    }
    done |= size <= 0;
  }
  return shown;
}

static void check_shown(int fd, uint32_t id) {
  for (int way = 0; way < 4; ++way) {
    const struct shown shown = shown_of_lo(fd, way & 1, way >> 1);
    CHECK(shown.attached == (id ? XDP_ATTACHED_SKB : XDP_ATTACHED_NONE));
    CHECK(shown.id == id && shown.skb_id == id && shown.drv_id == 0);
  }
}

static void check_xdp_link(void) {
  const int first = load(BPF_PROG_TYPE_XDP, 0), second = load(BPF_PROG_TYPE_XDP, 0);
  const int other = load(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP), filter = load(BPF_PROG_TYPE_SOCKET_FILTER, 0);
  const int fd = route_socket(1);
  check_shown(fd, 0);
  CHECK(make_link(first, kNoDevice, BPF_XDP, 0) == -EINVAL);
  CHECK(make_link(first, kLo, BPF_XDP, XDP_FLAGS_UPDATE_IF_NOEXIST) == -EINVAL);
  CHECK(make_link(first, kLo, BPF_XDP, XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE) == -EINVAL);
  CHECK(make_link(first, kLo, BPF_XDP, XDP_FLAGS_DRV_MODE) == -EOPNOTSUPP);
  CHECK(make_link(first, kLo, BPF_XDP, XDP_FLAGS_HW_MODE) == -EOPNOTSUPP);
  CHECK(make_link(first, kLo, BPF_FLOW_DISSECTOR, 0) == -EINVAL);
  CHECK(make_link(other, kLo, BPF_XDP, 0) == -EINVAL);
  const int link = make_link(first, kLo, BPF_XDP, 0);
  CHECK(link >= 0);
  check_shown(fd, program_id(first));
  struct bpf_link_info info = link_info(link);
  CHECK(info.type == BPF_LINK_TYPE_XDP && info.prog_id == program_id(first) && info.xdp.ifindex == kLo);
  CHECK(has_line(link, "link_type:\txdp\n") && has_line(link, "ifindex:\t1\n"));
  CHECK(make_link(second, kLo, BPF_XDP, 0) == -EBUSY);
  CHECK(set_xdp(fd, kLo, second, 0, kNoFd) == -EBUSY);
  CHECK(strcmp(refusal, "Can't replace active BPF XDP link") == 0);
  CHECK(set_xdp(fd, kLo, -1, 0, kNoFd) == -EBUSY);
  CHECK(prog_command(BPF_PROG_ATTACH, second, kLo, BPF_XDP, 0) == -EINVAL);
  CHECK(update_link(link, second, second) == -EPERM);
  CHECK(update_link(link, other, -1) == -EINVAL);
  CHECK(update_link(link, filter, -1) == -EINVAL);
  CHECK(update_link(link, second, first) == 0);
  check_shown(fd, program_id(second));
  CHECK(link_info(link).prog_id == program_id(second));
  CHECK(detach_link(link) == 0);
  check_shown(fd, 0);
  info = link_info(link);
  CHECK(info.prog_id == program_id(second) && info.xdp.ifindex == 0);
  CHECK(has_line(link, "ifindex:\t0\n"));
  CHECK(update_link(link, first, -1) == -ENOLINK);
  CHECK(detach_link(link) == 0);
  close(link);
  const int again = make_link(first, kLo, BPF_XDP, XDP_FLAGS_SKB_MODE);
  CHECK(again >= 0);
  close(again);
  check_shown(fd, 0);
  close(first), close(second), close(other), close(filter), close(fd);
}

static void check_rtnetlink(void) {
  const int first = load(BPF_PROG_TYPE_XDP, 0), second = load(BPF_PROG_TYPE_XDP, 0);
  const int cpumap = load(BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP), filter = load(BPF_PROG_TYPE_SOCKET_FILTER, 0);
  const int fd = route_socket(1);
  CHECK(set_xdp(fd, kNoDevice, first, 0, kNoFd) == -ENODEV && !refusal[0]);
  CHECK(set_xdp(fd, 0, first, 0, kNoFd) == -EINVAL);
  CHECK(set_xdp(fd, kLo, filter, 0, kNoFd) == -EINVAL && !refusal[0]);
  CHECK(set_xdp(fd, kLo, 999, 0, kNoFd) == -EBADF);
  CHECK(set_xdp(fd, kLo, first, 1u << 9, kNoFd) == -EINVAL && !refusal[0]);
  CHECK(set_xdp(fd, kLo, first, XDP_FLAGS_SKB_MODE | XDP_FLAGS_HW_MODE, kNoFd) == -EINVAL && !refusal[0]);
  CHECK(set_xdp(fd, kLo, first, XDP_FLAGS_REPLACE, kNoFd) == -EINVAL);
  CHECK(set_xdp(fd, kLo, first, XDP_FLAGS_REPLACE, 999) == -EBADF);
  CHECK(set_xdp(fd, kLo, first, XDP_FLAGS_REPLACE, second) == -EEXIST);
  CHECK(strcmp(refusal, "Active program does not match expected") == 0);
  CHECK(set_xdp(fd, kLo, first, XDP_FLAGS_DRV_MODE, kNoFd) == -EOPNOTSUPP);
  CHECK(strcmp(refusal, "Underlying driver does not support XDP in native mode") == 0);
  CHECK(set_xdp(fd, kLo, cpumap, 0, kNoFd) == -EINVAL);
  CHECK(strcmp(refusal, "BPF_XDP_CPUMAP programs can not be attached to a device") == 0);
  CHECK(set_xdp(fd, kLo, -1, 0, kNoFd) == 0 && !refusal[0]);
  CHECK(set_xdp(fd, kLo, kNoFd, 0, kNoFd) == 0);
  CHECK(set_xdp(fd, kLo, first, XDP_FLAGS_UPDATE_IF_NOEXIST, kNoFd) == 0);
  check_shown(fd, program_id(first));
  CHECK(set_xdp(fd, kLo, second, XDP_FLAGS_UPDATE_IF_NOEXIST, kNoFd) == -EBUSY);
  CHECK(strcmp(refusal, "XDP program already attached") == 0);
  // Later kernels answer otherwise.
  const int by_driver = set_xdp(fd, kLo, second, XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_DRV_MODE, kNoFd);
  CHECK(by_driver == -EOPNOTSUPP || !is_claimed_kernel());
  CHECK(make_link(second, kLo, BPF_XDP, 0) == -EBUSY);
  CHECK(set_xdp(fd, kLo, second, XDP_FLAGS_REPLACE, first) == 0);
  check_shown(fd, program_id(second));
  CHECK(set_xdp(fd, kLo, first, XDP_FLAGS_SKB_MODE, kNoFd) == 0);
  // The device keeps the program; who asks in another way sees it, too.
  const uint32_t id = program_id(first);
  close(first);
  union bpf_attr attr = {.prog_id = id};
  const int kept = bpf_call(BPF_PROG_GET_FD_BY_ID, &attr);
  CHECK(kept >= 0);
  close(kept);
  const int plain = route_socket(0);
  CHECK(set_xdp(plain, kLo, second, XDP_FLAGS_UPDATE_IF_NOEXIST, kNoFd) == -EBUSY && !refusal[0]);
  const struct request request = xdp_message(kLo, -1, 0, kNoFd);
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  struct iovec part = {(void*)&request, request.head.nlmsg_len};
  const struct msghdr message = {(void*)&kernel, sizeof kernel, &part, 1, NULL, 0, 0};
  CHECK(sendmsg(plain, &message, 0) == (ssize_t)request.head.nlmsg_len);
  CHECK(acknowledged(plain, &request) == 0);
  check_shown(plain, 0);
  CHECK(bpf_call(BPF_PROG_GET_FD_BY_ID, &attr) == -1 && errno == ENOENT);
  close(plain);
  // Nobody who did not say that he reports errors.
  const int quiet = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  const struct request last = xdp_message(kLo, second, 0, kNoFd);
  CHECK(sendto(quiet, &last, last.head.nlmsg_len, 0, (struct sockaddr*)&kernel, sizeof kernel) ==
        (ssize_t)last.head.nlmsg_len);
  CHECK(acknowledged(quiet, &last) == 0);
  check_shown(quiet, program_id(second));
  CHECK(set_xdp(quiet, kLo, -1, 0, kNoFd) == 0);
  close(quiet), close(second), close(cpumap), close(filter), close(fd);
}

static void check_namespace(int here) {
  const uint32_t kFlow = BPF_FLOW_DISSECTOR, kLookup = BPF_SK_LOOKUP;
  const int first = load(BPF_PROG_TYPE_FLOW_DISSECTOR, 0), second = load(BPF_PROG_TYPE_FLOW_DISSECTOR, 0);
  const int lookup = load(BPF_PROG_TYPE_SK_LOOKUP, kLookup);
  uint32_t count = 0;
  CHECK(queried(here, kFlow, &count) == 0 && count == 0);
  CHECK(queried(-1, kFlow, &count) == -EBADF);
  CHECK(queried(first, kFlow, &count) == -EINVAL);
  CHECK(make_link(first, -1, kFlow, 0) == -EBADF);
  CHECK(make_link(first, first, kFlow, 0) == -EINVAL);
  CHECK(make_link(first, here, kFlow, 1) == -EINVAL);
  CHECK(make_link(first, here, kLookup, 0) == -EINVAL);
  CHECK(prog_command(BPF_PROG_ATTACH, first, here, kFlow, 0) == -EINVAL);
  CHECK(prog_command(BPF_PROG_ATTACH, lookup, 0, kLookup, 0) == -EINVAL);
  CHECK(prog_command(BPF_PROG_DETACH, first, 0, kFlow, 0) == -ENOENT);
  CHECK(prog_command(BPF_PROG_ATTACH, first, 0, kFlow, 0) == 0);
  CHECK(prog_command(BPF_PROG_ATTACH, first, 0, kFlow, 0) == -EINVAL);
  CHECK(make_link(second, here, kFlow, 0) == -EEXIST);
  CHECK(prog_command(BPF_PROG_ATTACH, second, 0, kFlow, 0) == 0);
  count = 4;
  CHECK(queried(here, kFlow, &count) == (int)program_id(second) && count == 1);
  CHECK(prog_command(BPF_PROG_DETACH, first, 0, kFlow, 0) == -ENOENT);
  CHECK(prog_command(BPF_PROG_DETACH, lookup, 0, kFlow, 0) == -EINVAL);
  CHECK(prog_command(BPF_PROG_DETACH, second, 0, kFlow, 0) == 0);

  struct stat st;
  CHECK(fstat(here, &st) == 0);
  const int link = make_link(first, here, kFlow, 0);
  CHECK(link >= 0);
  const struct bpf_link_info info = link_info(link);
  CHECK(info.type == BPF_LINK_TYPE_NETNS && info.netns.netns_ino == st.st_ino && info.netns.attach_type == kFlow);
  char line[64];
  snprintf(line, sizeof line, "netns_ino:\t%lu\nattach_type:\t%u\n", (unsigned long)st.st_ino, kFlow);
  CHECK(has_line(link, "link_type:\tnetns\n") && has_line(link, line));
  CHECK(make_link(second, here, kFlow, 0) == -E2BIG);
  CHECK(prog_command(BPF_PROG_ATTACH, second, 0, kFlow, 0) == -EEXIST);
  CHECK(prog_command(BPF_PROG_DETACH, first, 0, kFlow, 0) == -EINVAL);
  CHECK(update_link(link, second, second) == -EPERM);
  CHECK(update_link(link, lookup, -1) == -EINVAL);
  CHECK(update_link(link, second, first) == 0);
  count = 1;
  CHECK(queried(here, kFlow, &count) == (int)program_id(second) && count == 1);
  CHECK(detach_link(link) == 0);
  count = 1;
  CHECK(queried(here, kFlow, &count) == 0 && count == 0);
  CHECK(link_info(link).netns.netns_ino == 0 && update_link(link, first, -1) == -ENOLINK);
  close(link);

  const int one = make_link(lookup, here, kLookup, 0), two = make_link(lookup, here, kLookup, 0);
  CHECK(one >= 0 && two >= 0);
  count = 1;
  CHECK(queried(here, kLookup, &count) == -ENOSPC && count == 2);
  close(one);
  count = 2;
  CHECK(queried(here, kLookup, &count) == (int)program_id(lookup) && count == 1);
  close(two), close(first), close(second), close(lookup);
}

// What a thread attaches in a namespace of its own.
struct inside {
  int there, program, xdp, link, device;
};

static void* attach_inside(void* argument) {
  struct inside* const in = argument;
  if (unshare(CLONE_NEWNET) != 0) return NULL;
  in->there = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  check_namespace(in->there);
  in->link = make_link(in->program, in->there, BPF_SK_LOOKUP, 0);
  in->device = make_link(in->xdp, kLo, BPF_XDP, 0);
  CHECK(in->link >= 0 && in->device >= 0);
  const int fd = route_socket(1);
  check_shown(fd, program_id(in->xdp));
  close(fd);
  return NULL;
}

// Links in a namespace that goes.
static void check_lost_namespace(int here) {
  struct inside in = {.there = -1};
  in.program = load(BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP), in.xdp = load(BPF_PROG_TYPE_XDP, 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, attach_inside, &in) == 0 && pthread_join(thread, NULL) == 0);
  if (in.there < 0) return;
  const int fd = route_socket(1);
  check_shown(fd, 0);
  close(fd);
  uint32_t count = 1;
  CHECK(queried(here, BPF_SK_LOOKUP, &count) == 0 && count == 0);
  count = 1;
  CHECK(queried(in.there, BPF_SK_LOOKUP, &count) == (int)program_id(in.program) && count == 1);
  CHECK(link_info(in.device).xdp.ifindex == kLo);
  close(in.there);
  // What was open there goes later.
  for (int i = 0; i < 200 && link_info(in.link).netns.netns_ino; ++i) sleep_ms(10);
  CHECK(link_info(in.link).netns.netns_ino == 0 && update_link(in.link, in.program, -1) == -ENOLINK);
  for (int i = 0; i < 200 && link_info(in.device).xdp.ifindex; ++i) sleep_ms(10);
  CHECK(link_info(in.device).xdp.ifindex == 0 && update_link(in.device, in.xdp, -1) == -ENOLINK);
  close(in.link), close(in.device), close(in.program), close(in.xdp);
}

struct target {
  uint32_t where;
  int32_t program;
};

static int make_map(uint32_t type, uint32_t entries) {
  union bpf_attr attr = {.map_type = type, .key_size = 4, .value_size = sizeof(struct target), .max_entries = entries};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static int update_map(int map, uint32_t key, struct target target) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&target;
  return bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == 0 ? 0 : -errno;
}

static struct target in_map(int map, uint32_t key) {
  struct target target = {};
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&target;
  if (bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) != 0) target.program = -errno;
  return target;
}

// Programs of those who packets are redirected to.
static void check_targets(void) {
  const int cpus = make_map(BPF_MAP_TYPE_CPUMAP, 4), devices = make_map(BPF_MAP_TYPE_DEVMAP, 4);
  const int hash = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 4);
  const int plain = load(BPF_PROG_TYPE_XDP, 0), of_cpu = load(BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP);
  const int of_device = load(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP);
  CHECK(update_map(cpus, 0, (struct target){192, of_cpu}) == 0);
  CHECK(in_map(cpus, 0).where == 192 && in_map(cpus, 0).program == (int)program_id(of_cpu));
  CHECK(update_map(cpus, 0, (struct target){192, plain}) == -ENOMEM);
  CHECK(update_map(cpus, 0, (struct target){192, of_device}) == -ENOMEM);
  CHECK(in_map(cpus, 0).program == (int)program_id(of_cpu));
  CHECK(update_map(cpus, 0, (struct target){100000, of_cpu}) == -EOVERFLOW);
  CHECK(update_map(cpus, 0, (struct target){64, -1}) == 0 && in_map(cpus, 0).program == 0);
  CHECK(update_map(cpus, 0, (struct target){0, of_cpu}) == 0 && in_map(cpus, 0).program == -ENOENT);
  const int maps[] = {devices, hash};
  for (size_t i = 0; i < LENGTH(maps); ++i) {
    CHECK(update_map(maps[i], 1, (struct target){kLo, of_device}) == 0);
    CHECK(in_map(maps[i], 1).where == kLo && in_map(maps[i], 1).program == (int)program_id(of_device));
    CHECK(update_map(maps[i], 1, (struct target){kLo, plain}) == -EINVAL);
    CHECK(update_map(maps[i], 1, (struct target){kNoDevice, 0}) == -EINVAL);
    CHECK(update_map(maps[i], 2, (struct target){kLo, 0}) == 0 && in_map(maps[i], 2).program == 0);
    CHECK(update_map(maps[i], 3, (struct target){0, of_device}) == -EINVAL);
  }
  // The map keeps the program.
  union bpf_attr attr = {.prog_id = program_id(of_device)};
  close(of_device);
  const int kept = bpf_call(BPF_PROG_GET_FD_BY_ID, &attr);
  CHECK(kept >= 0);
  close(kept), close(devices), close(hash);
  int gone = 0;
  for (int i = 0; i < 200 && !gone; ++i) {
    sleep_ms(10);
    const int found = bpf_call(BPF_PROG_GET_FD_BY_ID, &attr);
    gone = found < 0 && errno == ENOENT;
    close(found);
  }
  CHECK(gone);
  close(cpus), close(plain), close(of_cpu);
}

int main(void) {
  const int program = load(BPF_PROG_TYPE_XDP, 0);
  if (program < 0) {
    if (demanded()) printf("no XDP programs, errno %d\n", errno);
    return 0;
  }
  close(program);
  const int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  check_xdp_link();
  check_rtnetlink();
  check_namespace(here);
  check_targets();
  check_lost_namespace(here);
  return 0;
}
