// SPDX-License-Identifier: Apache-2.0
// Requests of rtnetlink that attach XDP programs to devices (kernel: do_setlink), and those whose answers show them.
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <bit>

#include "emu/kernel/netlink.h"
#include "emu/kernel/network.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/bpf_network.h"
#include "emu/syscalls/rtnetlink.h"

namespace bpfemu {

namespace {

constexpr u32 kXdpFlags =
    XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE | XDP_FLAGS_HW_MODE | XDP_FLAGS_REPLACE;
constexpr u32 kXdpModeFlags = XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE | XDP_FLAGS_HW_MODE;

XdpResult refuse(int error) { return std::unexpected(XdpRefusal{error}); }

bool is_route_socket(Task& task, int fd) {
  const UniqueFd copy(task.share_fd(fd).value_or(-1));
  int domain = 0, protocol = -1;
  socklen_t size = sizeof domain;
  if (!copy || ::getsockopt(copy.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  return domain == AF_NETLINK && ::getsockopt(copy.get(), SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
         protocol == NETLINK_ROUTE;
}

// Does the request change nothing else? The device is named by index or by name.
bool is_for_xdp_alone(std::string_view message, const nlmsghdr& head, const ifinfomsg& body) {
  bool alone = !body.ifi_flags && !body.ifi_change && !(head.nlmsg_flags & (NLM_F_EXCL | NLM_F_REPLACE));
  for_each_attribute(attributes_of<ifinfomsg>(message), [&](u16 type, std::string_view, std::string_view) {
    alone &= type == IFLA_XDP || type == IFLA_IFNAME;
    return true;
  });
  return alone;
}

// Kernel: bpf_prog_get_type_dev. -1: none.
Result<std::shared_ptr<Program>> xdp_program(System& system, Task& task, s32 fd) {
  if (fd < 0) return nullptr;
  auto program = TRY(program_behind(system, task, fd));
  if (program->type != BPF_PROG_TYPE_XDP) return fail(EINVAL);
  return program;
}

// Kernel: the part of do_setlink for IFLA_XDP, and dev_change_xdp_fd.
XdpResult set_xdp(System& system, Task& task, u32 device, std::string_view asked) {
  if (attribute(asked, IFLA_XDP_ATTACHED) || attribute(asked, IFLA_XDP_PROG_ID)) return refuse(EINVAL);
  const u32 flags = number_attribute<u32>(asked, IFLA_XDP_FLAGS).value_or(0);
  if ((flags & ~kXdpFlags) || std::popcount(flags & kXdpModeFlags) > 1) return refuse(EINVAL);
  const auto fd = number_attribute<s32>(asked, IFLA_XDP_FD), expected = number_attribute<s32>(asked, IFLA_XDP_EXPECTED_FD);
  if (!fd) return {};
  const bool replaces = flags & XDP_FLAGS_REPLACE;
  if (replaces && !expected) return refuse(EINVAL);
  auto program = xdp_program(system, task, *fd);
  auto old = xdp_program(system, task, replaces ? *expected : -1);
  if (!program || !old) return refuse((program ? old : program).error().value);
  if (*program)
    if (const auto runs = check_runnable(system, **program); !runs) return refuse(runs.error().value);
  return attach_xdp(system, task, device, {.program = std::move(*program), .old = std::move(*old), .flags = flags});
}

// The device that the request names: EINVAL, ENODEV.
Result<u32> named_device(Task& task, std::string_view message, const ifinfomsg& body) {
  const std::string name = text_attribute(attributes_of<ifinfomsg>(message), IFLA_IFNAME);
  if (body.ifi_index <= 0 && name.empty()) return fail(EINVAL);
  const UniqueFd netlink = route_socket(task);
  return TRY(device_facts(netlink.get(), body.ifi_index > 0 ? static_cast<u32>(body.ifi_index) : 0, name)).index;
}

// Sends `message`, which is as long, in the place of what the call sends.
Reply send_instead(Call& call, std::string_view message) {
  const u64 at = call.task.scratch(message.size() + sizeof(iovec) + sizeof(msghdr)).value_or(0);
  if (!at || !call.task.write(at, message.data(), message.size())) return Reply::answer(-ENOBUFS);
  if (call.number == SYS_sendto) {
    call.args[1] = at;
    return Reply::rewritten();
  }
  msghdr head;
  const iovec part{reinterpret_cast<void*>(at), message.size()};
  const u64 part_at = at + NLMSG_ALIGN(message.size()), head_at = part_at + sizeof part;
  if (!call.task.read(call.args[1], &head, sizeof head)) return Reply::native();
  head.msg_iov = reinterpret_cast<iovec*>(part_at);
  head.msg_iovlen = 1;
  if (!call.task.write(part_at, &part, sizeof part) || !call.task.write(head_at, &head, sizeof head))
    return Reply::answer(-ENOBUFS);
  call.args[1] = head_at;
  return Reply::rewritten();
}

// The host's kernel gets a message that asks for nothing but to be acknowledged, where this one is to be answered.
Reply answer_later(Call& call, RtnetlinkSocket& socket, std::string_view message, nlmsghdr head, const XdpResult& result) {
  const XdpRefusal told = result ? XdpRefusal{0} : result.error();
  const bool acknowledged = told.error || (head.nlmsg_flags & NLM_F_ACK);
  if (acknowledged) socket.answers.push_back({std::string(message), told});
  head.nlmsg_type = NLMSG_NOOP;
  head.nlmsg_flags = static_cast<u16>(NLM_F_REQUEST | (acknowledged ? NLM_F_ACK : 0));
  std::string carrier(message);
  std::memcpy(carrier.data(), &head, sizeof head);
  return send_instead(call, carrier);
}

std::optional<Reply> change_device(System& system, Call& call, std::string_view bytes, const nlmsghdr& head) {
  const std::string_view message = first_message(bytes);
  const auto body = body_of<ifinfomsg>(message);
  const auto asked = body ? attribute(attributes_of<ifinfomsg>(message), IFLA_XDP) : std::nullopt;
  const int fd = static_cast<int>(call.args[0]);
  if (!asked || !is_route_socket(call.task, fd)) return std::nullopt;
  const auto device = named_device(call.task, message, *body);
  const bool only_device = device || head.nlmsg_type == RTM_SETLINK;
  if (!is_for_xdp_alone(message, head, *body) || bytes.size() != message.size() || !only_device) {
    system.unmodelled.note("xdp programs among other changes to a device");
    return std::nullopt;
  }
  RtnetlinkSocket* const socket = system.rtnetlink.change(call.task, fd);
  if (!socket) return std::nullopt;
  XdpResult result;
  if (!system.capabilities(call.task).net_admin) {
    result = refuse(EPERM);
  } else {
    result = device ? set_xdp(system, call.task, *device, *asked) : refuse(device.error().value);
  }
  return answer_later(call, *socket, message, head, result);
}

}  // namespace

std::optional<Reply> send_rtnetlink(System& system, Call& call, std::string_view message) {
  const auto head = struct_at<nlmsghdr>(message, 0);
  if (!head) return std::nullopt;
  const int fd = static_cast<int>(call.args[0]);
  switch (head->nlmsg_type) {
    case RTM_GETLINK:
      if (!system.networks.any_xdp() || !is_route_socket(call.task, fd)) return std::nullopt;
      if (RtnetlinkSocket* const socket = system.rtnetlink.change(call.task, fd))
        socket->shown_network = network_of(call.task);
      return std::nullopt;
    case RTM_SETLINK:
    case RTM_NEWLINK: return change_device(system, call, message, *head);
    default: return std::nullopt;
  }
}

}  // namespace bpfemu
