// SPDX-License-Identifier: Apache-2.0
// Calls on sockets, as programs of cgroups see, change and refuse them (kernel: BPF_CGROUP_RUN_PROG_*). What a program
// makes of an address is put into a copy, as the kernel changes its own; results are changed in the caller's memory.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/cgroup_run.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/rtnetlink.h"

namespace bpfemu {

namespace {

constexpr u32 kIp4Name = sizeof(sockaddr_in), kIp6Name = offsetof(sockaddr_in6, sin6_scope_id);  // SIN6_LEN_RFC2133
constexpr u32 kNoCapability = 1;    // BPF_RET_BIND_NO_CAP_NET_BIND_SERVICE
constexpr s64 kNotSupported = 524;  // ENOTSUPP
constexpr u64 kMostMessages = 1024;  // UIO_MAXIOV

int fd_of(const Call& call) {
  return static_cast<int>(call.args[0]);
}

// A socket address on its way between a call and the kernel.
struct Name {
  sockaddr_storage at{};
  u32 size = 0;

  u16 family() const { return at.ss_family; }
  sockaddr_in& ip4() { return reinterpret_cast<sockaddr_in&>(at); }
  sockaddr_in6& ip6() { return reinterpret_cast<sockaddr_in6&>(at); }
  bool whole() const { return family() == AF_INET ? size >= kIp4Name : family() == AF_INET6 && size >= kIp6Name; }
  u16 port() const { return SocketEnd::from(at).port; }
};

// None: the kernel is the one to refuse it.
std::optional<Name> read_name(Task& task, u64 address, u64 size) {
  Name name;
  name.size = static_cast<u32>(size);
  if (!address || name.size < sizeof name.at.ss_family || name.size > sizeof name.at) return std::nullopt;
  if (!task.read(address, &name.at, name.size)) return std::nullopt;
  return name;
}

// Runs the programs of `type` on the name, which they may change (kernel: __cgroup_bpf_run_filter_sock_addr).
s64 run_on_name(System& system, Task& task, CgroupSocket& socket, u32 type, Name& name, u32* flags = nullptr) {
  CgroupRun run(system, task, socket.cgroup(), type);
  if (!run.any()) return 0;
  auto* const context = run.place<RunSockAddr>();
  if (!context) return -ENOMEM;
  bpf_sock_addr& seen = context->seen;
  socket.show(context->sock);
  seen.user_family = name.family();
  seen.family = socket.facts().family;
  seen.type = socket.facts().type;
  seen.protocol = socket.facts().protocol;
  seen.sk = reinterpret_cast<bpf_sock*>(&context->sock);
  const bool ip4 = name.family() == AF_INET;
  if (ip4) {
    seen.user_ip4 = name.ip4().sin_addr.s_addr;
    seen.user_port = name.ip4().sin_port;
  } else {
    std::memcpy(seen.user_ip6, &name.ip6().sin6_addr, sizeof seen.user_ip6);
    seen.user_port = name.ip6().sin6_port;
  }
  const SocketServices services = socket.services();
  const s64 result = run.run(&services, &seen, 0, flags);
  if (ip4) {
    name.ip4().sin_addr.s_addr = seen.user_ip4;
    name.ip4().sin_port = static_cast<u16>(seen.user_port);
  } else {
    std::memcpy(&name.ip6().sin6_addr, seen.user_ip6, sizeof seen.user_ip6);
    name.ip6().sin6_port = static_cast<u16>(seen.user_port);
  }
  const bool source =
      seen.msg_src_ip4 || seen.msg_src_ip6[0] || seen.msg_src_ip6[1] || seen.msg_src_ip6[2] || seen.msg_src_ip6[3];
  if (source) system.unmodelled.note("source addresses that sendmsg programs set");
  return result;
}

// The call goes on with the name in the place of argument `at`.
Reply with_name(Call& call, const Name& name, size_t at) {
  const auto scratch = call.task.scratch(sizeof name.at);
  if (!scratch || !call.task.write(*scratch, &name.at, name.size)) return Reply::answer(-EFAULT);
  call.args[at] = *scratch;
  return Reply::rewritten();
}

bool same(const Name& a, const Name& b) {
  return std::memcmp(&a.at, &b.at, sizeof a.at) == 0;
}

// Raw sockets and those of ping have a bind() of their own.
bool binds_by_port(const SocketFacts& facts) {
  return facts.internet() && facts.type != SOCK_RAW && facts.protocol != IPPROTO_ICMP &&
         facts.protocol != IPPROTO_ICMPV6;
}

void copy_options(const SocketFacts& from, int to) {
  const auto set = [to](int level, int option, int value) {
    (void)::setsockopt(to, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_REUSEADDR, from.reuse_address);
  set(SOL_SOCKET, SO_REUSEPORT, from.reuse_port);
  set(IPPROTO_IP, IP_FREEBIND, from.freebind);
  if (from.family == AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY, from.v6_only);
}

// What the socket will be bound to is known only when it is, and that cannot be undone. So another one of the kind is
// bound first; with port 0 the socket then gets the port that this one had.
s64 run_post_bind(System& system, Task& task, CgroupSocket& socket, Name& name) {
  const SocketFacts& facts = socket.facts();
  CgroupRun run(system, task, socket.cgroup(),
                facts.family == AF_INET ? BPF_CGROUP_INET4_POST_BIND : BPF_CGROUP_INET6_POST_BIND);
  if (!run.any() || (name.port() == 0 && facts.bind_address_no_port)) return 0;
  const auto like = task.call(SYS_socket, {facts.family, u64{facts.type} | SOCK_CLOEXEC, facts.protocol});
  if (!like) return 0;
  s64 result = 0;
  if (const auto other = CgroupSocket::of(system, task, static_cast<int>(*like))) {
    copy_options(facts, other->fd());
    const bool bound = ::bind(other->fd(), reinterpret_cast<const sockaddr*>(&name.at), name.size) == 0;
    const auto now = socket_facts(other->fd());
    auto* const sock = run.place<RunSock>();
    if (bound && now && sock) {
      SocketFacts shown = *now;
      socket.show(*sock);
      sock->src_ip4 = shown.receiving_ip4();
      std::memcpy(sock->src_ip6, shown.local.address.data(), sizeof sock->src_ip6);
      sock->src_port = shown.local.port;
      const SocketServices services = socket.services();
      result = run.run(&services, &sock->bound_dev_if);
      (name.family() == AF_INET ? name.ip4().sin_port : name.ip6().sin6_port) = htons(shown.local.port);
    }
  }
  (void)task.call(SYS_close, {*like});
  return result;
}

// Which programs a connect() passes, by protocol and the kind of address (kernel: tcp_v4_pre_connect and its kin).
std::optional<u32> connect_type(const SocketFacts& facts, const Name& name) {
  const bool tcp = facts.is_tcp(), udp = facts.type == SOCK_DGRAM;
  if (!facts.internet() || (!tcp && !udp) || name.family() == AF_UNSPEC) return std::nullopt;
  if (tcp && facts.state != kTcpClose) return std::nullopt;
  if (facts.family == AF_INET) {
    if (name.size < kIp4Name || name.family() != AF_INET) return std::nullopt;
    return BPF_CGROUP_INET4_CONNECT;
  }
  if (udp && name.family() == AF_INET) {
    if (facts.v6_only || name.size < kIp4Name) return std::nullopt;
    return BPF_CGROUP_INET4_CONNECT;
  }
  if (name.size < kIp6Name || name.family() != AF_INET6) return std::nullopt;
  return BPF_CGROUP_INET6_CONNECT;
}

bool is_udp(const SocketFacts& facts) {
  return facts.internet() && (facts.protocol == IPPROTO_UDP || facts.protocol == IPPROTO_UDPLITE);
}

// An IPv4 address in the form of IPv6, to a socket that speaks both.
void unmap(Name& name) {
  if (name.family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&name.ip6().sin6_addr)) return;
  sockaddr_in ip4{};
  ip4.sin_family = AF_INET;
  ip4.sin_port = name.ip6().sin6_port;
  std::memcpy(&ip4.sin_addr, &name.ip6().sin6_addr.s6_addr[12], sizeof ip4.sin_addr);
  name = {};
  std::memcpy(&name.at, &ip4, sizeof ip4);
  name.size = sizeof ip4;
}

// Where a call that receives puts the sender's name, and how much room there is.
struct Sender {
  u64 address = 0;
  u32 size = 0;
};
std::optional<Sender> sender_of(Call& call) {
  Sender sender;
  if (call.number == SYS_recvmsg) {
    msghdr head;
    if (!call.task.read(call.args[1], &head, sizeof head)) return std::nullopt;
    sender = {reinterpret_cast<u64>(head.msg_name), head.msg_namelen};
  } else {
    sender.address = call.args[4];
    if (!sender.address || !call.task.read(call.args[5], &sender.size, sizeof sender.size)) return std::nullopt;
  }
  if (!sender.address) return std::nullopt;
  return sender;
}

bool receives_names(const System& system) {
  const auto& used = system.cgroups.used_types;
  return used[BPF_CGROUP_UDP4_RECVMSG] || used[BPF_CGROUP_UDP6_RECVMSG];
}

// A name that the kernel has given, as programs leave it.
void show_name(System& system, Call& call, CgroupSocket& socket, u32 ip4, u32 ip6, const Sender& to) {
  const u32 size = socket.facts().family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  Name name;
  name.size = size;
  if (!call.task.read(to.address, &name.at, std::min(size, to.size))) return;
  const Name before = name;
  const u32 type = socket.facts().family == AF_INET ? ip4 : ip6;
  (void)run_on_name(system, call.task, socket, type, name);
  if (!same(before, name)) (void)call.task.write(to.address, &name.at, std::min(size, to.size));
}

}  // namespace

Reply enter_bind(System& system, Call& call) {
  auto name = read_name(call.task, call.args[1], call.args[2]);
  if (!name) return Reply::native();
  auto socket = CgroupSocket::of(system, call.task, fd_of(call));
  if (!socket || !binds_by_port(socket->facts()) || !name->whole()) return Reply::native();
  const Name before = *name;
  u32 flags = 0;
  const u32 type = socket->facts().family == AF_INET ? BPF_CGROUP_INET4_BIND : BPF_CGROUP_INET6_BIND;
  if (const s64 refused = run_on_name(system, call.task, *socket, type, *name, &flags)) return Reply::answer(refused);
  if (const s64 refused = run_post_bind(system, call.task, *socket, *name)) return Reply::answer(refused);
  if (flags & kNoCapability) {
    // The task itself may lack the capability; who started it has it over a network of the run's own.
    const bool bound = ::bind(socket->fd(), reinterpret_cast<const sockaddr*>(&name->at), name->size) == 0;
    return Reply::answer(bound ? 0 : -s64{errno});
  }
  return same(before, *name) ? Reply::native() : with_name(call, *name, 1);
}

Reply enter_connect(System& system, Call& call) {
  auto name = read_name(call.task, call.args[1], call.args[2]);
  if (!name) return Reply::native();
  auto socket = CgroupSocket::of(system, call.task, fd_of(call));
  const auto type = socket ? connect_type(socket->facts(), *name) : std::nullopt;
  if (!type) return Reply::native();
  const Name before = *name;
  if (const s64 refused = run_on_name(system, call.task, *socket, *type, *name)) return Reply::answer(refused);
  return same(before, *name) ? Reply::native() : with_name(call, *name, 1);
}

// getpeername() and getsockname() never wait: the thread makes the call before programs look at its result.
Reply enter_socket_name(System& system, Call& call) {
  auto socket = CgroupSocket::of(system, call.task, fd_of(call));
  Sender to{call.args[1]};
  if (!socket || !socket->internet() || !call.task.read(call.args[2], &to.size, sizeof to.size)) return Reply::native();
  const auto done = call.task.call(call.number, call.args);
  if (!done) return Reply::answer(-s64{done.error().value});
  const bool peer = call.number == SYS_getpeername;
  show_name(system, call, *socket, peer ? BPF_CGROUP_INET4_GETPEERNAME : BPF_CGROUP_INET4_GETSOCKNAME,
            peer ? BPF_CGROUP_INET6_GETPEERNAME : BPF_CGROUP_INET6_GETSOCKNAME, to);
  return Reply::answer(*done);
}

namespace {

// A name that a message is sent to, as the programs of the socket leave it.
struct SentTo {
  s64 refused = 0;
  Name name;
  bool changed = false;
};

// None: no program looks at it.
std::optional<SentTo> send_to(System& system, Task& task, CgroupSocket& socket, u64 address, u64 size) {
  auto name = read_name(task, address, size);
  if (!name || !name->whole() || name->port() == 0 || !is_udp(socket.facts())) return std::nullopt;
  const bool only_ip4 = socket.facts().family == AF_INET;
  if (only_ip4 != (name->family() == AF_INET) && (only_ip4 || socket.facts().v6_only)) return std::nullopt;
  if (!socket.facts().v6_only) unmap(*name);
  const Name before = *name;
  const bool ip4 = name->family() == AF_INET;
  const u32 type = ip4 ? BPF_CGROUP_UDP4_SENDMSG : BPF_CGROUP_UDP6_SENDMSG;
  SentTo to;
  to.refused = run_on_name(system, task, socket, type, *name);
  to.changed = !same(before, *name);
  if (!to.refused && to.changed) {
    if (!ip4 && IN6_IS_ADDR_V4MAPPED(&name->ip6().sin6_addr)) to.refused = -kNotSupported;
    if (name->port() == 0) to.refused = -EINVAL;
  }
  to.name = *name;
  return to;
}

bool sends_names(const System& system) {
  const auto& used = system.cgroups.used_types;
  return used[BPF_CGROUP_UDP4_SENDMSG] || used[BPF_CGROUP_UDP6_SENDMSG];
}

}  // namespace

std::optional<Reply> send_in_cgroup(System& system, Call& call) {
  if (!sends_names(system)) return std::nullopt;
  const bool message = call.number == SYS_sendmsg;
  msghdr head{};
  u64 address = call.args[4], size = call.args[5];
  if (message) {
    if (!call.task.read(call.args[1], &head, sizeof head)) return std::nullopt;
    address = reinterpret_cast<u64>(head.msg_name), size = head.msg_namelen;
  }
  auto socket = address ? CgroupSocket::of(system, call.task, fd_of(call)) : std::nullopt;
  const auto to = socket ? send_to(system, call.task, *socket, address, size) : std::nullopt;
  if (!to) return std::nullopt;
  if (to->refused) return Reply::answer(to->refused);
  if (!to->changed) return std::nullopt;
  const Name& name = to->name;
  if (!message) {
    call.args[5] = name.size;
    return with_name(call, name, 4);
  }
  const auto scratch = call.task.scratch(sizeof name.at + sizeof head);
  if (!scratch) return Reply::answer(-EFAULT);
  head.msg_name = reinterpret_cast<void*>(*scratch + sizeof head);
  head.msg_namelen = name.size;
  if (!call.task.write(*scratch, &head, sizeof head) || !call.task.write(*scratch + sizeof head, &name.at, name.size))
    return Reply::answer(-EFAULT);
  call.args[1] = *scratch;
  return Reply::rewritten();
}

// Names that there is no room for would have to be told apart at the exit: they are left as they are.
bool receives_in_cgroup(System& system, Call& call) {
  if (!receives_names(system)) return false;
  const auto sender = sender_of(call);
  if (!sender) return false;
  const auto socket = CgroupSocket::of(system, call.task, fd_of(call));
  if (!socket || !is_udp(socket->facts())) return false;
  const bool ip4 = socket->facts().family == AF_INET;
  if (effective_programs(socket->cgroup(), ip4 ? BPF_CGROUP_UDP4_RECVMSG : BPF_CGROUP_UDP6_RECVMSG).empty())
    return false;
  if (sender->size >= (ip4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6))) return true;
  system.unmodelled.note("recvmsg programs where a sender's address is cut short");
  return false;
}

void received_in_cgroup(System& system, Call& call) {
  if (!receives_names(system)) return;
  const auto sender = sender_of(call);
  auto socket = sender && sender->size ? CgroupSocket::of(system, call.task, fd_of(call)) : std::nullopt;
  if (!socket || !is_udp(socket->facts())) return;
  show_name(system, call, *socket, BPF_CGROUP_UDP4_RECVMSG, BPF_CGROUP_UDP6_RECVMSG, *sender);
}

Reply enter_recvfrom(System& system, Call& call) {
  if (auto reply = receive_rtnetlink(system, call)) return *reply;
  return receives_in_cgroup(system, call) ? Reply::native_then_exit() : Reply::native();
}

s64 exit_recvfrom(System& system, Call& call, s64 result) {
  if (result >= 0) received_in_cgroup(system, call);
  return result;
}

// Each message is asked about before the first is sent; those from one that is refused on are not sent (kernel:
// __sys_sendmmsg).
Reply enter_sendmmsg(System& system, Call& call) {
  auto socket = sends_names(system) ? CgroupSocket::of(system, call.task, fd_of(call)) : std::nullopt;
  if (!socket) return Reply::native();
  const u64 count = std::min<u64>(static_cast<u32>(call.args[2]), kMostMessages);
  for (u64 n = 0; n < count; ++n) {
    mmsghdr each;
    if (!call.task.read(call.args[1] + n * sizeof each, &each, sizeof each)) break;
    const u64 address = reinterpret_cast<u64>(each.msg_hdr.msg_name);
    const auto to = send_to(system, call.task, *socket, address, each.msg_hdr.msg_namelen);
    if (!to) continue;
    if (to->changed && !to->refused) system.unmodelled.note("addresses that programs change in sendmmsg()");
    if (!to->refused) continue;
    if (n == 0) return Reply::answer(to->refused);
    call.args[2] = n;
    return Reply::rewritten();
  }
  return Reply::native();
}

Reply enter_recvmmsg(System& system, Call&) {
  return receives_names(system) ? Reply::native_then_exit() : Reply::native();
}

s64 exit_recvmmsg(System& system, Call& call, s64 result) {
  auto socket = result > 0 ? CgroupSocket::of(system, call.task, fd_of(call)) : std::nullopt;
  if (!socket || !is_udp(socket->facts())) return result;
  for (u64 n = 0; n < static_cast<u64>(result); ++n) {
    mmsghdr each;
    if (!call.task.read(call.args[1] + n * sizeof each, &each, sizeof each)) break;
    const Sender sender{reinterpret_cast<u64>(each.msg_hdr.msg_name), each.msg_hdr.msg_namelen};
    if (sender.address && sender.size)
      show_name(system, call, *socket, BPF_CGROUP_UDP4_RECVMSG, BPF_CGROUP_UDP6_RECVMSG, sender);
  }
  return result;
}

}  // namespace bpfemu
