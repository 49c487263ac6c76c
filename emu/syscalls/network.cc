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

#include "emu/kernel/netlink.h"
#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/congestion.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/host_tree.h"
#include "emu/syscalls/rtnetlink.h"
#include "emu/syscalls/socket_filters.h"
#include "emu/syscalls/socket_ids.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxMessage = 4000;  // with what is around it, of the size of scratch space

// Has the host given the task CAP_NET_ADMIN over its network? A user namespace has it over networks made there.
bool has_net_admin(System& system, const Task& task) {
  auto facts = system.host.facts(task.tid());
  if (!facts || !(facts->local_capabilities >> CAP_NET_ADMIN & 1)) return false;
  if (system.identities.root().way != RootWay::kNamespace) return true;
  return link_text("/proc/self/ns/net") != link_text(fmt::format("/proc/{}/ns/net", task.tid()));
}

std::string device_name(int index) {
  char name[IF_NAMESIZE];
  return if_indextoname(static_cast<unsigned>(index), name) ? name : fmt::format("device {}", index);
}

void note_traffic_control(System& system, Task& task, std::string_view kind, std::string_view message) {
  const auto body = body_of<tcmsg>(message);
  if (!body || has_net_admin(system, task)) return;  // then it is the host's to do
  const std::string name = text_attribute(attributes_of<tcmsg>(message), TCA_KIND);
  system.unmodelled.note(kind, fmt::format("{} on {}", name, device_name(body->tcm_ifindex)));
}

// One message to rtnetlink.
void note_message(System& system, Task& task, std::string_view message) {
  const auto head = struct_at<nlmsghdr>(message, 0);
  if (!head) return;
  message = message.substr(0, head->nlmsg_len);
  switch (head->nlmsg_type) {
    case RTM_NEWQDISC: return note_traffic_control(system, task, "tc qdisc", message);
    case RTM_NEWTFILTER: return note_traffic_control(system, task, "tc filter", message);
    default: return;
  }
}

// The first bytes that a sendto() or sendmsg() sends.
std::string sent(Call& call, u64 limit) {
  u64 address = call.args[1], size = call.args[2];
  if (call.number == SYS_sendmsg) {
    msghdr head;
    iovec first;
    if (!call.task.read(call.args[1], &head, sizeof head) || head.msg_iovlen == 0) return {};
    if (!call.task.read(reinterpret_cast<u64>(head.msg_iov), &first, sizeof first)) return {};
    address = reinterpret_cast<u64>(first.iov_base);
    size = first.iov_len;
  }
  std::string bytes(std::min<u64>(size, limit), '\0');
  if (!call.task.read(address, bytes.data(), bytes.size())) return {};
  return bytes;
}

// Who does not ask for extended errors is known by what he sends; by the address alone where nothing else stops the call
// (loader/filter.cc).
bool is_about_devices(Call& call) {
  const auto head = struct_at<nlmsghdr>(sent(call, sizeof(nlmsghdr)), 0);
  return head && head->nlmsg_len >= NLMSG_LENGTH(sizeof(ifinfomsg)) && (head->nlmsg_flags & NLM_F_REQUEST) &&
         head->nlmsg_type >= RTM_NEWLINK && head->nlmsg_type <= RTM_SETLINK;
}

}  // namespace

// What the host refuses, which root of the claimed kernel may do.
static void note_refused(System& system, const Call& call, s64 result) {
  const bool xdp = static_cast<int>(call.args[0]) == AF_XDP;
  if (result == -EPERM) system.unmodelled.note(xdp ? "AF_XDP sockets" : "packet sockets");
}

Reply enter_socket(System& system, Call& call) {
  const int family = static_cast<int>(call.args[0]);
  const bool raw = family == AF_PACKET || family == AF_XDP;
  const bool noted = raw && system.capabilities(call.task).net_admin;
  const auto made = make_socket_in_cgroup(system, call);
  if (made && noted) note_refused(system, call, made->value);
  return made.value_or(noted ? Reply::native_then_exit() : Reply::native());
}

s64 exit_socket(System& system, Call& call, s64 result) {
  note_refused(system, call, result);
  return result;
}

// Asking for extended errors is the mark of those who change devices; the resolver and others who only read do not.
Reply enter_setsockopt(System& system, Call& call) {
  if (auto reply = set_option_in_cgroup(system, call)) return *reply;
  if (auto reply = set_congestion(system, call)) return *reply;
  const int fd = static_cast<int>(call.args[0]), level = static_cast<int>(call.args[1]),
            option = static_cast<int>(call.args[2]);
  if (level == SOL_SOCKET && option == SO_PASSCRED) watch_peers(system, call.task);
  if (system.capabilities(call.task).net_admin && level == SOL_NETLINK && option == NETLINK_EXT_ACK) system.rtnetlink.add(call.task, fd);
  return set_socket_program(system, call).value_or(Reply::native());
}

Reply enter_send(System& system, Call& call) {
  const bool known = system.rtnetlink.contains(call.task, static_cast<int>(call.args[0]));
  if (known || is_about_devices(call)) {
    const std::string message = sent(call, kMaxMessage);
    if (auto reply = send_rtnetlink(system, call, message)) return *reply;
    if (known) note_message(system, call.task, message);
  }
  if (auto reply = send_in_cgroup(system, call)) return *reply;
  return call.number == SYS_sendmsg ? send_credentials(system, call) : Reply::native();
}

}  // namespace bpfemu
