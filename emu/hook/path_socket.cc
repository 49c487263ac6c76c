// SPDX-License-Identifier: Apache-2.0
// Calls that make sockets, name them and shut them.
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <sys/syscall.h>

#include "emu/hook/capability_checks.h"
#include "emu/hook/changes.h"
#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"
#include "emu/hook/socket_calls.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

// What socket() and socketpair() ask for.
struct Wanted {
  explicit Wanted(const Transit& call)
      : family(static_cast<u32>(call.arg(0))), type(call.arg(1) & kTypes), protocol(static_cast<u32>(call.arg(2))) {}
  static constexpr u64 kTypes = 0xf;  // SOCK_TYPE_MASK
  u64 family, type, protocol;
};

// kernel: __sys_socket_create, __sock_create
bool is_looked_at(const Transit& call, const Wanted& wanted) {
  constexpr u64 kFamilies = 46, kMostTypes = 11;  // NPROTO, SOCK_MAX
  const u64 flags = static_cast<u32>(call.arg(1)) & ~Wanted::kTypes;
  return !(flags & ~u64{SOCK_CLOEXEC | SOCK_NONBLOCK}) && wanted.family < kFamilies && wanted.type < kMostTypes;
}

void tell_creation(Transit& call, const Wanted& wanted) {
  if (!is_looked_at(call, wanted)) return;
  call.ask(Hook::security_socket_create, [&](Arguments& a) {
    a[0] = wanted.family;
    a[1] = wanted.type;
    a[2] = wanted.protocol;
  });
}

// It is known when it is made.
void tell_made(Transit& call, const Wanted& wanted, int fd) {
  const SocketRef made = sockets_of(call).behind(call.task(), fd);
  if (!made) return;
  const u64 socket = sockets_of(call).socket(*made).address();
  call.enter(Hook::sock_alloc, [](Arguments&) {}).leave(static_cast<s64>(socket));
  // kernel: inet_create and its kin say how it fails.
  if (!ask_sk_alloc(call, *made, kGfpKernel))
    call.fails_with(wanted.family == AF_UNIX || wanted.family == AF_NETLINK ? -ENOMEM : -ENOBUFS);
  call.ask(Hook::security_socket_post_create, [&](Arguments& a) {
    const KernelObject object = sockets_of(call).socket(*made);
    object.set("state", kUnconnected);  // ends of a pair are connected when both are there
    a[0] = object.address();
    a[1] = wanted.family;
    a[2] = wanted.type;
    a[3] = wanted.protocol;
  });
}

}  // namespace

// socket
Path making_socket(Transit& call) {
  const Wanted wanted(call);
  tell_creation(call, wanted);
  const bool internet = wanted.family == AF_INET || wanted.family == AF_INET6;
  if (wanted.family == AF_PACKET || (internet && wanted.type == SOCK_RAW)) pass_capable(call, CAP_NET_RAW);
  const s64 result = co_await call.done();
  if (result < 0) co_return;
  tell_made(call, wanted, static_cast<int>(result));
  if (call.denial()) (void)call.task().call(SYS_close, {static_cast<u64>(result)});
}

// They are not connected yet.
static void pass_pair(Transit& call, const int (&ends)[2]) {
  call.ask(Hook::security_socket_socketpair, [&](Arguments& a) {
    for (u32 n = 0; n < 2; ++n) {
      const SocketRef end = sockets_of(call).behind(call.task(), ends[n]);
      if (!end) continue;
      const KernelObject object = sockets_of(call).socket(*end);
      object.set("state", kUnconnected);
      a[n] = object.address();
    }
  });
}

// socketpair
Path making_pair(Transit& call) {
  const Wanted wanted(call);
  tell_creation(call, wanted);
  const s64 result = co_await call.done();
  int ends[2];
  if (result < 0 || !call.task().read(call.arg(3), ends, sizeof ends)) co_return;
  tell_made(call, wanted, ends[0]);
  tell_creation(call, wanted);
  tell_made(call, wanted, ends[1]);
  pass_pair(call, ends);
  if (!call.denial()) co_return;
  for (int end : ends) (void)call.task().call(SYS_close, {static_cast<u64>(end)});
}

// kernel: unix_bind. Abstract names are no files.
static Path binding_name(Transit& call, const CallAddress& address) {
  const sockaddr_un& un = reinterpret_cast<const sockaddr_un&>(address.name);
  constexpr size_t kBegin = offsetof(sockaddr_un, sun_path);
  if (address.size <= kBegin || !un.sun_path[0]) co_return;
  SocketName name{Lookup(call, std::string(un.sun_path, ::strnlen(un.sun_path, address.size - kBegin))), {}};
  if (name.at.named()) pass_socket_name(call, name);
  name.leave(call, co_await call.done());
}

// bind
Path binding(Transit& call) {
  const int fd = static_cast<int>(call.arg(0));
  const SocketRef socket = sockets_of(call).behind(call.task(), fd);
  const auto address = CallAddress::read(call, call.arg(1), call.arg(2));
  if (!socket || !address) co_return;
  ask_socket(call, Hook::security_socket_bind, *socket, address->at, address->size);
  if (socket->facts.family == AF_UNIX) {
    co_await binding_name(call, *address);
    co_return;
  }
  if (!socket->facts.internet()) co_return;
  const bool ip6 = socket->facts.family == AF_INET6;
  const Passing bind =
      enter_socket(call, ip6 ? Hook::inet6_bind : Hook::inet_bind, *socket, address->at, address->size);
  const s64 result = co_await call.done();
  // kernel: __inet_bind; sin_port and sin6_port lie at the same place.
  const u32 port = ntohs(reinterpret_cast<const sockaddr_in&>(address->name).sin_port);
  const bool possible = address->size >= sizeof(sockaddr_in) && result != -EADDRNOTAVAIL && result != -EAFNOSUPPORT;
  if (possible && port != 0 && port < sockets_of(call).first_free_port()) pass_capable(call, CAP_NET_BIND_SERVICE);
  (void)sockets_of(call).behind(call.task(), fd);
  (void)sockets_of(call).socket(*socket);  // what it is bound to now
  bind.leave(as_int(result));
}

// listen
Path listening(Transit& call) {
  const int fd = static_cast<int>(call.arg(0));
  const SocketRef socket = sockets_of(call).behind(call.task(), fd);
  if (!socket) co_return;
  Tcp tcp(call);
  const u64 most = sockets_of(call).most_waiting();
  const u64 backlog = std::min<u64>(static_cast<u32>(call.arg(1)), most);
  ask_socket(call, Hook::security_socket_listen, *socket, backlog);
  // Datagrams have no listen() of their own.
  if (socket->facts.family == AF_UNIX && socket->facts.type != SOCK_DGRAM) {
    const Passing unix_listen = enter_socket(call, Hook::unix_listen, *socket, backlog);
    const s64 result = co_await call.done();
    (void)sockets_of(call).behind(call.task(), fd);
    (void)sockets_of(call).socket(*socket);
    unix_listen.leave(as_int(result));
    co_return;
  }
  if (!socket->facts.is_tcp()) co_return;
  const Passing inet_listen = enter_socket(call, Hook::inet_listen, *socket, backlog);
  const s64 result = co_await call.done();
  (void)sockets_of(call).behind(call.task(), fd);
  if (result == 0 && socket->told == kTcpClose) {
    const Passing start = call.enter(Hook::inet_csk_listen_start, [&](Arguments& a) {
      const KernelObject sock = tcp.sockets().sock(*socket);
      sock.set("sk_max_ack_backlog", static_cast<u32>(backlog));
      a[0] = sock.address();
    });
    tcp.store_state(*socket, kTcpListen);
    start.leave(0);
    tcp.ask_programs(*socket, {.op = BPF_SOCK_OPS_TCP_LISTEN_CB});
  }
  (void)sockets_of(call).socket(*socket);
  inet_listen.leave(as_int(result));
}

// dup2, dup3: what the new number meant before is closed.
Path replacing(Transit& call) {
  if (call.arg(0) == call.arg(1)) co_return;
  const Passing filp_close = enter_filp_close(call, call.arg(1));
  SocketClosing part(call, static_cast<int>(call.arg(1)));
  const s64 result = co_await call.done();
  filp_close.leave(0);
  co_await call.left();
  part.closed(result < 0 ? result : 0);
}

// shutdown
Path shutting_down(Transit& call) {
  const int fd = static_cast<int>(call.arg(0));
  const SocketRef socket = sockets_of(call).behind(call.task(), fd);
  if (!socket) co_return;
  Tcp tcp(call);
  ask_socket(call, Hook::security_socket_shutdown, *socket, call.arg(1));
  if (!socket->facts.is_tcp()) co_return;
  tcp.catch_up(*socket, socket->facts.state);
  const SocketRef peer = socket->facts.peer_known ? sockets_of(call).peer_of(call.task(), *socket) : nullptr;
  const SocketInUse used(socket), peer_used(peer);
  const s64 result = co_await call.done();
  (void)sockets_of(call).behind(call.task(), fd);
  const bool sends = result == 0 && call.arg(1) != SHUT_RD;
  const bool ends = sends && (socket->told == kTcpEstablished || socket->told == kTcpCloseWait);
  if (ends) {
    tcp.set_state(*socket, socket->told == kTcpEstablished ? kTcpFinWait1 : kTcpLastAck);
    tell_fin(call, tcp, *socket, peer.get());
  }
  tcp.catch_up(*socket, socket->facts.state);
}

}  // namespace bpfemu
