// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/socket_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

// kernel: inet_diag_find_one_icsk. The kernel speaks of the ends as the socket itself sees them.
struct Question {
  nlmsghdr header{};
  inet_diag_req_v2 request{};
};

void put_end(const SocketEnd& end, __be32 (&address)[4], __be16& port) {
  std::memcpy(address, end.address.data(), sizeof address);
  port = htons(end.port);
}

SocketEnd get_end(u16 family, const __be32 (&address)[4], __be16 port) {
  SocketEnd end;
  std::memcpy(end.address.data(), address, family == AF_INET ? sizeof address[0] : sizeof address);
  end.port = ntohs(port);
  return end;
}

// Older kernels tell less of it: the rest stays 0.
tcp_info info_of(const rtattr& attribute) {
  tcp_info info{};
  std::memcpy(&info, RTA_DATA(&attribute), std::min<size_t>(RTA_PAYLOAD(&attribute), sizeof info));
  return info;
}

SocketFacts facts_of(u8 protocol, const inet_diag_msg& told, size_t size) {
  SocketFacts facts;
  facts.family = told.idiag_family;
  facts.type = protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
  facts.protocol = protocol;
  facts.state = told.idiag_state;
  facts.inode = told.idiag_inode;
  facts.cookie = u64{told.id.idiag_cookie[1]} << 32 | told.id.idiag_cookie[0];
  facts.local = get_end(facts.family, told.id.idiag_src, told.id.idiag_sport);
  facts.peer = get_end(facts.family, told.id.idiag_dst, told.id.idiag_dport);
  facts.peer_known = facts.peer.port != 0;
  facts.bound_device = static_cast<s32>(told.id.idiag_if);
  facts.uid = told.idiag_uid;
  if (facts.state == kTcpListen) {
    facts.ack_backlog = told.idiag_rqueue;
    facts.max_ack_backlog = told.idiag_wqueue;
  }
  size -= std::min(size, NLMSG_ALIGN(sizeof told));
  auto* attribute = reinterpret_cast<const rtattr*>(reinterpret_cast<const u8*>(&told) + NLMSG_ALIGN(sizeof told));
  for (; RTA_OK(attribute, size); attribute = RTA_NEXT(attribute, size)) {
    const auto* text = static_cast<const char*>(RTA_DATA(attribute));
    if (attribute->rta_type == INET_DIAG_INFO) facts.tcp = info_of(*attribute);
    if (attribute->rta_type == INET_DIAG_CONG) facts.congestion.assign(text, ::strnlen(text, RTA_PAYLOAD(attribute)));
    if (attribute->rta_type == INET_DIAG_SHUTDOWN) facts.shutdown = load<u8>(RTA_DATA(attribute));
  }
  return facts;
}

}  // namespace

SocketDiag::SocketDiag() : netlink_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {}

// The kernel answers within sendto(); an answer to a question of before, of which nobody heard, is left out.
Result<SocketFacts> SocketDiag::ask(u8 protocol, u16 family, const SocketEnd& source, const SocketEnd& destination) {
  if (!netlink_) return fail(EOPNOTSUPP);
  Question question;
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.header.nlmsg_seq = ++sequence_;
  inet_diag_req_v2& request = question.request;
  request.sdiag_family = static_cast<u8>(family);
  request.sdiag_protocol = protocol;
  request.idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1);
  request.idiag_states = ~0u;
  put_end(source, request.id.idiag_src, request.id.idiag_sport);
  put_end(destination, request.id.idiag_dst, request.id.idiag_dport);
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = static_cast<u32>(INET_DIAG_NOCOOKIE);
  if (::send(netlink_.get(), &question, sizeof question, 0) < 0) return fail(EOPNOTSUPP);
  alignas(nlmsghdr) u8 answer[4096];
  for (;;) {
    const ssize_t got = ::recv(netlink_.get(), answer, sizeof answer, MSG_DONTWAIT);
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
    if (got < 0 && errno == ENOBUFS) continue;
    if (got < 0 || !NLMSG_OK(header, static_cast<size_t>(got))) return fail(EOPNOTSUPP);
    if (header->nlmsg_seq != sequence_) continue;
    if (header->nlmsg_type == NLMSG_ERROR) {
      const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
      return fail(error == ENOENT ? ENOENT : EOPNOTSUPP);
    }
    const size_t payload = NLMSG_PAYLOAD(header, 0);
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || payload < sizeof(inet_diag_msg)) return fail(EOPNOTSUPP);
    return facts_of(protocol, *static_cast<const inet_diag_msg*>(NLMSG_DATA(header)), payload);
  }
}

// The kernel looks for a listener where no socket has these ends.
Result<SocketFacts> SocketDiag::connected(u16 family, const SocketEnd& local, const SocketEnd& peer) {
  SocketFacts facts = TRY(ask(IPPROTO_TCP, family, local, peer));
  if (facts.state == kTcpListen) return fail(ENOENT);
  return facts;
}

Result<SocketFacts> SocketDiag::listener(u16 family, const SocketEnd& local) {
  SocketFacts facts = TRY(ask(IPPROTO_TCP, family, local, {}));
  if (facts.state != kTcpListen) return fail(ENOENT);
  return facts;
}

// Of UDP the kernel speaks of the ends as the sender sees them (udp_dump_one).
Result<SocketFacts> SocketDiag::receiver(u16 family, const SocketEnd& local, const SocketEnd& peer) {
  return ask(IPPROTO_UDP, family, peer, local);
}

}  // namespace bpfemu
