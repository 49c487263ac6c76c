// SPDX-License-Identifier: Apache-2.0
// What rtnetlink sockets receive: the model's answers in the place of acknowledgements, and devices with the programs that
// are attached to them (kernel: netlink_ack, rtnl_xdp_fill). A message that is to be changed is taken from the socket here
// and given to the task; all others, and all waiting, are the host's.
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <vector>

#include "emu/kernel/netlink.h"
#include "emu/syscalls/rtnetlink.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u64 kMostParts = 1024;  // UIO_MAXIOV
constexpr size_t kMostControl = 256;

bool has_option(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_NETLINK, option, &value, &size) == 0 && value;
}

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Kernel: netlink_ack. `carrier` is the acknowledgement that the host sent.
std::string acknowledgement(int fd, std::string_view carrier, const RtnetlinkAnswer& answer) {
  nlmsghdr head = *struct_at<nlmsghdr>(carrier, 0);
  const auto [error, message] = answer.result;
  const bool whole = error && !has_option(fd, NETLINK_CAP_ACK), says_why = *message && has_option(fd, NETLINK_EXT_ACK);
  std::string body;
  append(body, s32{-error});
  body.append(answer.request, 0, whole ? std::string::npos : sizeof(nlmsghdr));
  body.resize(NLMSG_ALIGN(body.size()), '\0');
  if (says_why) put_attribute(body, NLMSGERR_ATTR_MSG, {message, std::strlen(message) + 1});
  head.nlmsg_len = static_cast<u32>(sizeof head + body.size());
  head.nlmsg_flags = static_cast<u16>((whole ? 0 : NLM_F_CAPPED) | (says_why ? NLM_F_ACK_TLVS : 0));
  std::string text;
  append(text, head);
  return text + body;
}

bool is_carrier(std::string_view datagram, const RtnetlinkAnswer& answer) {
  const auto head = struct_at<nlmsghdr>(datagram, 0);
  const auto body = body_of<nlmsgerr>(datagram);
  const auto asked = struct_at<nlmsghdr>(answer.request, 0);
  return body && head->nlmsg_type == NLMSG_ERROR && head->nlmsg_seq == asked->nlmsg_seq &&
         body->msg.nlmsg_type == NLMSG_NOOP;
}

// Kernel: rtnl_xdp_fill.
std::string shown_programs(const XdpDevice* device) {
  constexpr struct {
    XdpMode mode;
    u16 attribute;
    u8 attached;
  } kModes[] = {{XdpMode::kGeneric, IFLA_XDP_SKB_PROG_ID, XDP_ATTACHED_SKB},
                {XdpMode::kNative, IFLA_XDP_DRV_PROG_ID, XDP_ATTACHED_DRV},
                {XdpMode::kOffloaded, IFLA_XDP_HW_PROG_ID, XDP_ATTACHED_HW}};
  std::string told;
  u8 attached = XDP_ATTACHED_NONE;
  u32 id = 0;
  for (const auto& each : kModes) {
    const auto program = device ? device->program(each.mode) : nullptr;
    if (!program) continue;
    id = program->id();
    put_number(told, each.attribute, id);
    attached = attached == XDP_ATTACHED_NONE ? each.attached : u8{XDP_ATTACHED_MULTI};
  }
  put_number(told, IFLA_XDP_ATTACHED, attached);
  if (id && attached != XDP_ATTACHED_MULTI) put_number(told, IFLA_XDP_PROG_ID, id);
  return told;
}

// A message about a device, with the programs that the model has there.
std::string with_programs(const Networks& networks, u32 network, std::string_view message) {
  const auto body = body_of<ifinfomsg>(message);
  if (!body) return std::string(message);
  std::string changed(message.substr(0, NLMSG_HDRLEN + NLMSG_ALIGN(sizeof *body)));
  for_each_attribute(attributes_of<ifinfomsg>(message), [&](u16 type, std::string_view, std::string_view whole) {
    if (type == IFLA_XDP) {
      put_attribute(changed, type, shown_programs(networks.device(network, static_cast<u32>(body->ifi_index))));
    } else {
      changed += whole;
    }
    return true;
  });
  const u32 size = static_cast<u32>(changed.size());
  std::memcpy(changed.data(), &size, sizeof size);
  return changed;
}

std::string with_devices(const Networks& networks, u32 network, std::string_view datagram) {
  std::string changed;
  while (true) {
    const std::string_view message = first_message(datagram);
    if (message.empty()) return changed.append(datagram);
    const bool device = struct_at<nlmsghdr>(message, 0)->nlmsg_type == RTM_NEWLINK;
    const size_t step = std::min<size_t>(NLMSG_ALIGN(message.size()), datagram.size());
    changed += device ? with_programs(networks, network, message) : std::string(datagram.substr(0, step));
    datagram.remove_prefix(step);
  }
}

// Where recvfrom() or recvmsg() wants what it receives.
struct Destination {
  std::vector<iovec> parts;
  msghdr head{};       // of recvmsg()
  u64 head_at = 0;     // 0: recvfrom()
  u64 name = 0, name_size_at = 0;

  u64 room() const {
    u64 room = 0;
    for (const iovec& part : parts) room += part.iov_len;
    return room;
  }
};

Result<Destination> destination_of(Call& call) {
  Destination to;
  if (call.number == SYS_recvfrom) {
    to.parts.push_back({reinterpret_cast<void*>(call.args[1]), call.args[2]});
    to.name = call.args[4];
    to.name_size_at = call.args[5];
    return to;
  }
  to.head_at = call.args[1];
  TRY(call.task.read(to.head_at, &to.head, sizeof to.head));
  if (to.head.msg_iovlen > kMostParts) return fail(EMSGSIZE);
  to.parts.resize(to.head.msg_iovlen);
  TRY(call.task.read(reinterpret_cast<u64>(to.head.msg_iov), to.parts.data(), to.parts.size() * sizeof(iovec)));
  to.name = reinterpret_cast<u64>(to.head.msg_name);
  to.name_size_at = to.head_at + offsetof(msghdr, msg_namelen);
  return to;
}

// What came with the message.
struct Envelope {
  sockaddr_nl sender{};
  char control[kMostControl] = {};
  size_t control_size = 0;
  int flags = 0;
};

Result<void> deliver(Task& task, const Destination& to, std::string_view text, const Envelope& came) {
  u64 done = 0;
  for (const iovec& part : to.parts) {
    const u64 size = std::min<u64>(part.iov_len, text.size() - done);
    if (size) TRY(task.write(reinterpret_cast<u64>(part.iov_base), text.data() + done, size));
    done += size;
  }
  if (to.name && to.name_size_at) {
    u32 room = 0;
    const u32 size = sizeof came.sender;
    TRY(task.read(to.name_size_at, &room, sizeof room));
    TRY(task.write(to.name, &came.sender, std::min(room, size)));
    TRY(task.write(to.name_size_at, &size, sizeof size));
  }
  if (!to.head_at) return {};
  const size_t control = std::min(to.head.msg_control ? to.head.msg_controllen : 0, came.control_size);
  const int flags = came.flags | (done < text.size() ? MSG_TRUNC : 0) | (control < came.control_size ? MSG_CTRUNC : 0);
  if (control) TRY(task.write(reinterpret_cast<u64>(to.head.msg_control), came.control, control));
  TRY(task.write(to.head_at + offsetof(msghdr, msg_controllen), &control, sizeof control));
  return task.write(to.head_at + offsetof(msghdr, msg_flags), &flags, sizeof flags);
}

// The datagram that waits, left where it is. The buffer is as large as it is, for the kernel makes the next as large as
// the largest that it has seen.
std::optional<std::string> waiting_datagram(int fd) {
  const ssize_t size = ::recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (size <= 0) return std::nullopt;
  std::string datagram(static_cast<size_t>(size), '\0');
  if (::recv(fd, datagram.data(), datagram.size(), MSG_PEEK | MSG_DONTWAIT) != size) return std::nullopt;
  return datagram;
}

}  // namespace

std::optional<Reply> receive_rtnetlink(System& system, Call& call) {
  RtnetlinkSocket* const socket = system.rtnetlink.changed(call.task, static_cast<int>(call.args[0]));
  if (!socket) return std::nullopt;
  const UniqueFd copy(call.task.share_fd(static_cast<int>(call.args[0])).value_or(-1));
  auto datagram = copy ? waiting_datagram(copy.get()) : std::nullopt;
  const auto to = destination_of(call);
  if (!datagram || !to) return std::nullopt;
  const bool answers = !socket->answers.empty() && is_carrier(*datagram, socket->answers.front());
  std::string text = answers                 ? acknowledgement(copy.get(), *datagram, socket->answers.front())
                     : socket->shown_network ? with_devices(system.networks, *socket->shown_network, *datagram)
                                             : *datagram;
  if (text == *datagram) return std::nullopt;
  const u64 wanted = call.number == SYS_recvfrom ? call.args[3] : call.args[2];
  const bool peeks = wanted & MSG_PEEK;
  Envelope came;
  iovec part{datagram->data(), datagram->size()};
  msghdr head{&came.sender, sizeof came.sender, &part, 1, came.control, sizeof came.control, 0};
  if (::recvmsg(copy.get(), &head, MSG_DONTWAIT | (peeks ? MSG_PEEK : 0)) < 0) return std::nullopt;
  came.control_size = head.msg_controllen;
  came.flags = head.msg_flags & ~MSG_TRUNC;
  if (answers && !peeks) socket->answers.pop_front();
  const u64 fits = std::min<u64>(text.size(), to->room());
  if (!peeks && fits < text.size() && datagram->size() <= to->room())
    system.unmodelled.note("a buffer that has no room for the programs of devices");
  if (const auto delivered = deliver(call.task, *to, text, came); !delivered) return Reply::answer(delivered);
  return Reply::answer(static_cast<s64>((wanted & MSG_TRUNC) ? text.size() : fits));
}

}  // namespace bpfemu
