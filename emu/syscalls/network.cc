// SPDX-License-Identifier: Apache-2.0
// Where programs are attached without bpf(): sockets of packets, options of sockets, and messages to rtnetlink. The
// calls are the host's, and what it refuses for want of privilege, or since our programs are none of its, is noted
// here.
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/congestion.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/host_tree.h"
#include "emu/syscalls/socket_ids.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxMessage = 4096;

// Has the host given the task CAP_NET_ADMIN over its network? A user namespace has it over networks made there.
bool has_net_admin(System& system, const Task& task) {
  auto facts = system.host.facts(task.tid());
  if (!facts || !(facts->local_capabilities >> CAP_NET_ADMIN & 1)) return false;
  if (system.identities.root().way != RootWay::kNamespace) return true;
  return link_text("/proc/self/ns/net") != link_text(fmt::format("/proc/{}/ns/net", task.tid()));
}

// The first attribute of a type in [at, end) of a message, empty when there is none.
std::string_view attribute(std::string_view message, size_t at, u16 type) {
  nlattr head;
  while (at + sizeof head <= message.size()) {
    std::memcpy(&head, message.data() + at, sizeof head);
    if (head.nla_len < sizeof head || at + head.nla_len > message.size()) break;
    if ((head.nla_type & NLA_TYPE_MASK) == type) return message.substr(at + sizeof head, head.nla_len - sizeof head);
    at += NLA_ALIGN(head.nla_len);
  }
  return {};
}

template <typename Body>
std::optional<Body> body_of(std::string_view message) {
  Body body;
  if (message.size() < NLMSG_HDRLEN + sizeof body) return std::nullopt;
  std::memcpy(&body, message.data() + NLMSG_HDRLEN, sizeof body);
  return body;
}

std::string device_name(int index) {
  char name[IF_NAMESIZE];
  return if_indextoname(static_cast<unsigned>(index), name) ? name : fmt::format("device {}", index);
}

void note_traffic_control(System& system, Task& task, std::string_view kind, std::string_view message) {
  const auto body = body_of<tcmsg>(message);
  if (!body || has_net_admin(system, task)) return;  // then it is the host's to do
  const std::string_view name = attribute(message, NLMSG_HDRLEN + NLMSG_ALIGN(sizeof *body), TCA_KIND);
  system.unmodelled.note(kind,
                         fmt::format("{} on {}", name.substr(0, name.find('\0')), device_name(body->tcm_ifindex)));
}

void note_xdp(System& system, std::string_view message) {
  const auto body = body_of<ifinfomsg>(message);
  if (!body || attribute(message, NLMSG_HDRLEN + NLMSG_ALIGN(sizeof *body), IFLA_XDP).empty()) return;
  system.unmodelled.note("attachment", "xdp to " + device_name(body->ifi_index));
}

// One message to rtnetlink.
void note_message(System& system, Task& task, std::string_view message) {
  nlmsghdr head;
  if (message.size() < sizeof head) return;
  std::memcpy(&head, message.data(), sizeof head);
  message = message.substr(0, head.nlmsg_len);
  switch (head.nlmsg_type) {
    case RTM_NEWQDISC: return note_traffic_control(system, task, "tc qdisc", message);
    case RTM_NEWTFILTER: return note_traffic_control(system, task, "tc filter", message);
    case RTM_SETLINK:
    case RTM_NEWLINK: return note_xdp(system, message);
    default: return;
  }
}

// The first bytes that a sendto() or sendmsg() sends.
std::string sent(Call& call) {
  u64 address = call.args[1], size = call.args[2];
  if (call.number == SYS_sendmsg) {
    msghdr head;
    iovec first;
    if (!call.task.read(call.args[1], &head, sizeof head) || head.msg_iovlen == 0) return {};
    if (!call.task.read(reinterpret_cast<u64>(head.msg_iov), &first, sizeof first)) return {};
    address = reinterpret_cast<u64>(first.iov_base);
    size = first.iov_len;
  }
  std::string bytes(std::min<u64>(size, kMaxMessage), '\0');
  if (!call.task.read(address, bytes.data(), bytes.size())) return {};
  return bytes;
}

}  // namespace

Reply enter_socket(System& system, Call& call) {
  const int family = static_cast<int>(call.args[0]);
  if (family != AF_PACKET && family != AF_XDP) return make_socket_in_cgroup(system, call).value_or(Reply::native());
  const bool raw = family == AF_PACKET || family == AF_XDP;
  return raw && system.capabilities(call.task).net_admin ? Reply::native_then_exit() : Reply::native();
}

s64 exit_socket(System& system, Call& call, s64 result) {
  const bool xdp = static_cast<int>(call.args[0]) == AF_XDP;
  if (result == -EPERM) system.unmodelled.note(xdp ? "AF_XDP sockets" : "packet sockets");
  return result;
}

// Asking for extended errors is the mark of those who change devices; the resolver and others who only read do not.
Reply enter_setsockopt(System& system, Call& call) {
  if (auto reply = set_option_in_cgroup(system, call)) return *reply;
  if (auto reply = set_congestion(system, call)) return *reply;
  const int fd = static_cast<int>(call.args[0]), level = static_cast<int>(call.args[1]),
            option = static_cast<int>(call.args[2]);
  if (level == SOL_SOCKET && option == SO_PASSCRED) watch_peers(system, call.task);
  if (!system.capabilities(call.task).net_admin) return Reply::native();
  if (level == SOL_NETLINK && option == NETLINK_EXT_ACK) system.rtnetlink.add(call.task, fd);
  if (level != SOL_SOCKET || (option != SO_ATTACH_BPF && option != SO_ATTACH_REUSEPORT_EBPF)) return Reply::native();
  int program = -1;
  if (!call.task.read(call.args[3], &program, sizeof program)) return Reply::native();
  auto file = system.files.find(call.task, program);
  const bool ours = file && *file && (*file)->object() && (*file)->object()->kind() == ObjectKind::kProgram;
  if (ours) system.unmodelled.note("attachment", option == SO_ATTACH_BPF ? "socket filter" : "reuseport program");
  return Reply::native();
}

Reply enter_send(System& system, Call& call) {
  if (system.rtnetlink.contains(call.task, static_cast<int>(call.args[0]))) note_message(system, call.task, sent(call));
  if (auto reply = send_in_cgroup(system, call)) return *reply;
  return call.number == SYS_sendmsg ? send_credentials(system, call) : Reply::native();
}

}  // namespace bpfemu
