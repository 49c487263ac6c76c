// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/socket_parts.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/uio.h>

#include <algorithm>

#include "emu/hook/socket_calls.h"
#include "emu/hook/socket_watch.h"

namespace bpfemu {

namespace {

constexpr Hook kHooksOfSockets[] = {
#define SOCKET_HOOK(hook) Hook::hook,
    SOCKET_HOOK(tcp_close) SOCKET_HOOK(tcp_set_state) SOCKET_HOOK(tcp_sendmsg) SOCKET_HOOK(tcp_sendpage)
        SOCKET_HOOK(tcp_recvmsg) SOCKET_HOOK(tcp_cleanup_rbuf) SOCKET_HOOK(tcp_rcv_established)
            SOCKET_HOOK(tcp_rcv_state_process) SOCKET_HOOK(udp_sendmsg) SOCKET_HOOK(udp_recvmsg)
                SOCKET_HOOK(udpv6_sendmsg) SOCKET_HOOK(udpv6_recvmsg) SOCKET_HOOK(unix_stream_sendmsg)
                    SOCKET_HOOK(unix_stream_recvmsg) SOCKET_HOOK(unix_stream_read_actor)
                        SOCKET_HOOK(security_socket_sendmsg) SOCKET_HOOK(security_socket_recvmsg)
                            SOCKET_HOOK(trace_inet_sock_set_state) SOCKET_HOOK(trace_tcp_destroy_sock)
                                SOCKET_HOOK(trace_tcp_cong_state_set) SOCKET_HOOK(trace_kfree_skb)
                                    SOCKET_HOOK(trace_net_dev_start_xmit) SOCKET_HOOK(trace_netif_receive_skb)
                                        SOCKET_HOOK(eth_type_trans)
#undef SOCKET_HOOK
};

constexpr u64 kMostIovecs = 1024;  // kernel: UIO_MAXIOV

// A struct msghdr as the kernel has one: how much is to be moved, and how.
u64 place_message(Transit& call, const Message& message) {
  const KernelStruct& type = call.services().objects.structure("msghdr");
  const KernelObject header(call.place_zeroed(type.size()), type);
  header.set("msg_flags", message.flags);
  header.set("msg_iter.count", message.size);
  return header.address();
}

}  // namespace

bool asks_programs(const Occasion& occasion) {
  const SocketOps* const programs = occasion.services().socket_ops;
  return programs && programs->used();
}

std::optional<u64> size_of_vector(Task& task, u64 vector, u64 count) {
  if (count > kMostIovecs) return std::nullopt;
  std::vector<iovec> parts(count);
  if (count && !task.read(vector, parts.data(), count * sizeof(iovec))) return std::nullopt;
  u64 size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  return size;
}

SocketRef awaited_socket(Transit& call, int fd) {
  const bool awaited =
      asks_programs(call) ||
      std::ranges::any_of(kHooksOfSockets, [&](Hook hook) { return call.awaited(hook) || call.decided(hook); });
  return awaited ? call.services().sockets.behind(call.task(), fd) : nullptr;
}

void tell_fin(Transit& call, Tcp& tcp, FollowedSocket& socket, FollowedSocket* other) {
  tcp.segment(socket, kFin | kAck);
  if (other) {
    other->facts = tcp.sockets().look_again(&call.task(), *other);
    tcp.catch_up(*other, other->facts.state);
    if (other->told == kTcpClose) tcp.segment(*other, kAck);
    (void)other->take_segments();
  }
  const SocketFacts now = tcp.sockets().look_again(&call.task(), socket);
  tcp.catch_up(socket, now.state);
  (void)socket.take_segments();
}

void close_sockets_at_exit(Occasion& occasion) {
  Task& task = occasion.task();
  const HookServices& services = occasion.services();
  const bool awaited = asks_programs(occasion) || occasion.awaited(Hook::tcp_close) || occasion.awaited(Hook::tcp_set_state) ||
                       occasion.awaited(Hook::trace_inet_sock_set_state);
  if (!awaited || task.tid() != task.tgid()) return;
  std::vector<pid_t> others = services.host.thread_groups();
  std::erase(others, task.tgid());
  Tcp tcp(occasion);
  for (const SocketRef& socket : services.sockets.of_process(task)) {
    FollowedSocket& s = *socket;
    if (!s.facts.is_tcp() || Sockets::held_by(others, s)) continue;
    tcp.catch_up(s, s.facts.state);
    const Passing tcp_close = occasion.enter(Hook::tcp_close, [&](Arguments& a) { a[0] = tcp.sock(s); });
    s.closed = true;
    const bool resets = s.facts.unread > 0 || s.facts.aborts;
    const bool sends = (s.told == kTcpEstablished || s.told == kTcpCloseWait || s.told == kTcpSynRecv) && !resets;
    if (sends)
      tcp.set_state(s, s.told == kTcpCloseWait ? kTcpLastAck : kTcpFinWait1);
    else if (s.told != kTcpClose && s.told != kTcpFinWait1 && s.told != kTcpFinWait2)
      tcp.set_state(s, kTcpClose);
    if (s.told == kTcpClose) tcp.trace(Hook::trace_tcp_destroy_sock, s);
    tcp_close.leave(0);
  }
}

SocketClosing::SocketClosing(Transit& call, int fd) : call_(call), tcp_(call), socket_(awaited_socket(call, fd)) {
  if (socket_ && !socket_->facts.is_tcp()) socket_.reset();
  if (!socket_) return;
  tcp_.catch_up(*socket_, socket_->facts.state);
  if (socket_->facts.peer_known) peer_ = tcp_.sockets().peer_of(call.task(), *socket_);
  used_ = SocketInUse(socket_);
  peer_used_ = SocketInUse(peer_);
}

// Other descriptors may hold it. Of one that the network knows, the network tells whether it is closed.
void SocketClosing::closed(s64 result) {
  if (!socket_ || result < 0) return;
  const SocketFacts now = tcp_.sockets().look_again(&call_.task(), *socket_);
  const bool unknown = socket_->told == kTcpClose || socket_->told == kTcpListen;  // listeners may share an address
  const bool held = unknown ? Sockets::held_by(call_.services().host.thread_groups(), *socket_) : now.inode != 0;
  if (held) return tcp_.catch_up(*socket_, now.state);
  const Passing tcp_close = call_.enter(Hook::tcp_close, [&](Arguments& a) { a[0] = tcp_.sock(*socket_); });
  close();
  tcp_close.leave(0);
  if (socket_->told == kTcpClose) return tcp_.sockets().forget(*socket_);
  tcp_.sockets().objects().orphan(socket_->facts);
}

// kernel: __tcp_close.
void SocketClosing::close() {
  FollowedSocket& s = *socket_;
  s.closed = true;
  const bool resets = s.facts.unread > 0 || s.facts.aborts;
  switch (s.told) {
    case kTcpListen: close_listener(); break;
    case kTcpSynSent: tcp_.set_state(s, kTcpClose); break;
    case kTcpSynRecv:
    case kTcpEstablished:
    case kTcpCloseWait:
      if (!resets) {
        tcp_.set_state(s, s.told == kTcpCloseWait ? kTcpLastAck : kTcpFinWait1);
        return tell_fin(call_, tcp_, s, peer_.get());
      }
      tcp_.set_state(s, kTcpClose);
      tcp_.segment(s, kRst | kAck);
      if (peer_) peer_->facts = tcp_.sockets().look_again(&call_.task(), *peer_);
      if (peer_) tcp_.catch_up(*peer_, peer_->facts.state);
      break;
    case kTcpClose: break;
    case kTcpFinWait2: tcp_.set_state(s, kTcpClose); break;  // what is left of it waits for its time to run out
    default: tcp_.catch_up(s, tcp_.sockets().look_again(&call_.task(), s).state);
  }
  if (s.told == kTcpClose) tcp_.trace(Hook::trace_tcp_destroy_sock, s);
}

// Those who wait to be accepted are reset.
void SocketClosing::close_listener() {
  tcp_.set_state(*socket_, kTcpClose);
  for (const SocketRef& child : tcp_.sockets().waiting_at(*socket_)) {
    child->closed = true;
    tcp_.set_state(*child, kTcpClose);
    tcp_.segment(*child, kRst | kAck);
    tcp_.trace(Hook::trace_tcp_destroy_sock, *child);
    tcp_.sockets().forget(*child);
  }
}

SocketSending::SocketSending(Transit& call, int fd, const Message& message)
    : call_(call), tcp_(call), socket_(awaited_socket(call, fd)), fd_(fd) {
  if (!socket_) return;
  const SocketFacts& facts = socket_->facts;
  if (facts.is_tcp()) {
    tcp_.catch_up(*socket_, facts.state);
    if (facts.peer_known) peer_ = tcp_.sockets().peer_of(call.task(), *socket_);
    tcp_.exchange(*socket_, peer_.get());  // what came before
    used_ = SocketInUse(socket_);
    peer_used_ = SocketInUse(peer_);
  }
  to_ = facts.peer;
  sockaddr_storage name{};
  if (message.name && message.name_size <= sizeof name && call.task().read(message.name, &name, message.name_size))
    to_ = SocketEnd::from(name);
  const u64 header = place_message(call, message);
  auto fill = [&](u64 subject) {
    return [&call, &message, header, subject](Arguments& a) {
      a[0] = subject;
      a[1] = header;
      a[2] = message.size;
    };
  };
  const u64 socket = tcp_.sockets().socket(*socket_).address(), sock = tcp_.sock(*socket_);
  call.ask(Hook::security_socket_sendmsg, fill(socket));
  const bool ip6 = facts.family == AF_INET6;
  if (facts.is_tcp())
    sendmsg_ = call.enter(Hook::tcp_sendmsg, fill(sock));
  else if (facts.internet() && facts.protocol == IPPROTO_UDP)
    sendmsg_ = call.enter(ip6 ? Hook::udpv6_sendmsg : Hook::udp_sendmsg, fill(sock));
  else if (facts.family == AF_UNIX && facts.type == SOCK_STREAM)
    sendmsg_ = call.enter(Hook::unix_stream_sendmsg, fill(socket));
}

// One that stays on this machine.
void SocketSending::datagram(s64 result) {
  constexpr u32 kHeader = 8;
  SocketFacts from = socket_->facts;
  if (result < 0 || from.protocol != IPPROTO_UDP || !from.reaches_itself(to_)) return;
  from.peer = to_;
  if (from.local.is_any()) from.local.address = to_.address;
  tcp_.packets().pass({.from = from, .protocol = IPPROTO_UDP, .header = kHeader, .payload = as_int(result)});
}

void SocketSending::done(s64 result) {
  if (!socket_) return;
  if (socket_->facts.internet() && !socket_->facts.is_tcp()) datagram(result);
  if (socket_->facts.is_tcp()) {
    (void)tcp_.sockets().behind(call_.task(), fd_);
    if (peer_) peer_->facts = tcp_.sockets().look_again(&call_.task(), *peer_);
    tcp_.exchange(*socket_, peer_.get());
    tcp_.catch_up(*socket_, socket_->facts.state);
    if (peer_) tcp_.catch_up(*peer_, peer_->facts.state);
  }
  sendmsg_.leave(as_int(result));
}

SocketReceiving::SocketReceiving(Transit& call, int fd, const Message& message, u64 buffer)
    : call_(call), tcp_(call), socket_(awaited_socket(call, fd)), message_(message), buffer_(buffer), fd_(fd) {
  if (!socket_) return;
  const SocketFacts& facts = socket_->facts;
  if (facts.file_flags & O_NONBLOCK) message_.flags |= MSG_DONTWAIT;
  if (facts.is_tcp()) {
    tcp_.catch_up(*socket_, facts.state);
    if (facts.peer_known) peer_ = tcp_.sockets().peer_of(call.task(), *socket_);
    tcp_.exchange(*socket_, peer_.get());
  }
  header_ = place_message(call, message_);
  const u64 length = call.place(s32{0});
  auto fill = [&](u64 subject) {
    return [this, length, subject](Arguments& a) {
      a[0] = subject;
      a[1] = header_;
      a[2] = message_.size;
      a[3] = message_.flags;
      a[4] = length;
    };
  };
  const u64 socket = tcp_.sockets().socket(*socket_).address(), sock = tcp_.sock(*socket_);
  call.ask(Hook::security_socket_recvmsg, fill(socket));
  const bool ip6 = facts.family == AF_INET6;
  if (facts.is_tcp()) {
    recvmsg_ = call.enter(Hook::tcp_recvmsg, fill(sock));
    // kernel: tcp_recvmsg_locked tells the window before it sleeps.
    const u64 wanted = message_.flags & MSG_WAITALL ? message_.size : 1;
    const bool sleeps = facts.unread < wanted && !(message_.flags & MSG_DONTWAIT) && socket_->told == kTcpEstablished;
    if (sleeps) clean_up(facts.unread);
  } else if (facts.internet() && facts.protocol == IPPROTO_UDP) {
    recvmsg_ = call.enter(ip6 ? Hook::udpv6_recvmsg : Hook::udp_recvmsg, fill(sock));
  } else if (facts.family == AF_UNIX && facts.type == SOCK_STREAM) {
    recvmsg_ = call.enter(Hook::unix_stream_recvmsg, fill(socket));
  }
}

// What it acknowledges the other end receives at once.
void SocketReceiving::clean_up(s64 copied) {
  const Passing tcp_cleanup_rbuf = call_.enter(Hook::tcp_cleanup_rbuf, [&](Arguments& a) {
    a[0] = tcp_.sock(*socket_);
    a[1] = as_int(copied);
  });
  if (peer_) {
    peer_->facts = tcp_.sockets().look_again(&call_.task(), *peer_);
    tcp_.exchange(*socket_, peer_.get());
    tcp_.catch_up(*peer_, peer_->facts.state);
  }
  tcp_cleanup_rbuf.leave(0);
}

// kernel: unix_stream_read_actor(skb, skip, chunk, state). What was received is taken for one message: where those who
// sent it have split it, nobody tells.
void SocketReceiving::read_actor(s64 result) {
  if (result <= 0 || !call_.awaited(Hook::unix_stream_read_actor)) return;
  constexpr u64 kMost = 2048;  // that a program can look at
  const KernelStruct& type = call_.services().objects.structure("sk_buff");
  const KernelObject skb(call_.place_zeroed(type.size()), type);
  const u64 size = std::min(static_cast<u64>(result), kMost), data = call_.place_zeroed(size);
  if (data && buffer_) (void)call_.task().read(buffer_, reinterpret_cast<void*>(data), size);
  skb.set("len", as_int(result));
  skb.set("head", data);
  skb.set("data", data);
  skb.set("sk", tcp_.sock(*socket_));
  call_
      .enter(Hook::unix_stream_read_actor,
             [&](Arguments& a) {
               a[0] = skb.address();
               a[2] = static_cast<u64>(result);
             })
      .leave(result);
}

void SocketReceiving::done(s64 result) {
  if (!socket_) return;
  const SocketFacts& facts = socket_->facts;
  if (facts.is_tcp()) {
    (void)tcp_.sockets().behind(call_.task(), fd_);
    if (!peer_) tcp_.exchange(*socket_, nullptr);
    tcp_.catch_up(*socket_, facts.state);
    if (socket_->told != kTcpListen) clean_up(result);
  } else if (facts.family == AF_UNIX && facts.type == SOCK_STREAM) {
    read_actor(result);
  }
  recvmsg_.leave(as_int(result));
}

}  // namespace bpfemu
