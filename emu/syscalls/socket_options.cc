// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/socket_options.h"

#include <netinet/in.h>
#include <netinet/ip6.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "emu/syscalls/congestion.h"

namespace bpfemu {

namespace {

// Which options programs may set and read of each level, and in how many bytes (kernel: sol_socket_sockopt and its kin).
bool is_option(OptionName option, u32 size) {
  const bool number = size == sizeof(int);
  switch (option.level) {
    case SOL_SOCKET:
      switch (option.name) {
        case SO_REUSEADDR:
        case SO_SNDBUF:
        case SO_RCVBUF:
        case SO_KEEPALIVE:
        case SO_PRIORITY:
        case SO_REUSEPORT:
        case SO_RCVLOWAT:
        case SO_MARK:
        case SO_MAX_PACING_RATE:
        case SO_BINDTOIFINDEX:
        case SO_TXREHASH: return number;
        case SO_BINDTODEVICE: return true;
        default: return false;
      }
    case IPPROTO_TCP:
      switch (option.name) {
        case TCP_NODELAY:
        case TCP_MAXSEG:
        case TCP_KEEPIDLE:
        case TCP_KEEPINTVL:
        case TCP_KEEPCNT:
        case TCP_SYNCNT:
        case TCP_WINDOW_CLAMP:
        case TCP_THIN_LINEAR_TIMEOUTS:
        case TCP_USER_TIMEOUT:
        case TCP_NOTSENT_LOWAT:
        case TCP_SAVE_SYN: return number;
        case TCP_CONGESTION: return true;
        default: return false;
      }
    case IPPROTO_IP: return number && option.name == IP_TOS;
    case IPPROTO_IPV6: return number && (option.name == IPV6_TCLASS || option.name == IPV6_AUTOFLOWLABEL);
    default: return false;
  }
}

bool is_congestion(OptionName option) {
  return option.level == IPPROTO_TCP && option.name == TCP_CONGESTION;
}
bool names_device(OptionName option) {
  return option.level == SOL_SOCKET && (option.name == SO_BINDTODEVICE || option.name == SO_BINDTOIFINDEX);
}

// A descriptor for a traced process' socket, closed so that it waits for nobody.
class CopiedSocket {
 public:
  explicit CopiedSocket(UniqueFd fd = {}) : fd_(std::move(fd)) {}
  CopiedSocket(CopiedSocket&&) = default;
  ~CopiedSocket() {
    if (fd_) close_copied_socket(fd_.release());
  }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  int get() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

constexpr u32 kSavedSyn = 28;  // TCP_SAVED_SYN

// Options that only programs have, of the state of a connection (kernel: bpf_sol_tcp_setsockopt).
bool is_programs_own(OptionName option) {
  return option.level == IPPROTO_TCP && option.name >= TCP_BPF_IW && option.name <= TCP_BPF_RTO_MIN;
}

// What is known of the socket agrees with what was set.
void note_set(FollowedSocket& socket, OptionName option, const void* value, u32 size) {
  u32 number = 0;
  if (size != sizeof number) return;
  std::memcpy(&number, value, sizeof number);
  SocketFacts& facts = socket.facts;
  if (option.level == SOL_SOCKET && option.name == SO_PRIORITY) facts.priority = number;
  if (option.level == SOL_SOCKET && option.name == SO_MARK) facts.mark = number;
  if (option.level == IPPROTO_TCP && option.name == TCP_WINDOW_CLAMP) facts.window_clamp = number;
}

// The headers of the SYN that a connection came with (kernel: tcp_save_syn): sequence number and window are not told.
s64 saved_syn(System& system, FollowedSocket& socket, void* value, u32 size) {
  const CopiedSocket listener(Sockets::descriptor_of(system.host, socket.listener));
  int saves = 0;
  socklen_t length = sizeof saves;
  if (!listener || ::getsockopt(listener.get(), IPPROTO_TCP, TCP_SAVE_SYN, &saves, &length) != 0 || !saves)
    return -EINVAL;
  system.unmodelled.note("numbers within saved SYNs");
  constexpr u32 kTcpHeader = 40;
  const SocketFacts& facts = socket.facts;
  u8 bytes[sizeof(ip6_hdr) + kTcpHeader] = {};
  u32 at = 0;
  if (facts.speaks_ip4()) {
    const u32 from = facts.peer.ip4(), to = facts.local.ip4();
    bytes[0] = 0x45, bytes[3] = 20 + kTcpHeader, bytes[8] = 64, bytes[9] = IPPROTO_TCP;
    std::memcpy(bytes + 12, &from, sizeof from);
    std::memcpy(bytes + 16, &to, sizeof to);
    at = 20;
  } else {
    bytes[0] = 0x60, bytes[5] = kTcpHeader, bytes[6] = IPPROTO_TCP, bytes[7] = 64;
    std::memcpy(bytes + 8, facts.peer.address.data(), 16);
    std::memcpy(bytes + 24, facts.local.address.data(), 16);
    at = sizeof(ip6_hdr);
  }
  tcphdr tcp{};
  tcp.source = htons(facts.peer.port);
  tcp.dest = htons(facts.local.port);
  tcp.doff = kTcpHeader / 4;
  tcp.syn = 1;
  std::memcpy(bytes + at, &tcp, sizeof tcp);
  if (size > at + kTcpHeader) return -EINVAL;
  std::memcpy(value, bytes, size);
  return 0;
}

}  // namespace

// The kernel asks for no privilege here; the host's own call may.
s64 set_socket_option(System& system, int fd, OptionName option, const void* value, u32 size) {
  if (is_programs_own(option)) system.unmodelled.note("options of TCP that only programs have");
  if (!is_option(option, size)) return -EINVAL;
  s64 done = 0;
  if (is_congestion(option)) {
    done = set_congestion(system, fd, value, size);
  } else if (::setsockopt(fd, static_cast<int>(option.level), static_cast<int>(option.name), value, size) != 0) {
    done = -errno;
  }
  if (done == -EPERM || done == -EACCES) system.unmodelled.note("socket options that the host refuses programs");
  return done;
}

s64 get_socket_option(System& system, int fd, OptionName option, void* value, u32 size) {
  const bool cookie = option.level == SOL_SOCKET && option.name == SO_NETNS_COOKIE;
  const bool device = option.level == SOL_SOCKET && option.name == SO_BINDTODEVICE;  // may only be set
  if (!cookie && (device || !is_option(option, size))) return -EINVAL;
  if (is_congestion(option)) return get_congestion(system, fd, value, size);
  socklen_t length = size;
  const int got = ::getsockopt(fd, static_cast<int>(option.level), static_cast<int>(option.name), value, &length);
  return got == 0 ? 0 : -errno;
}

// A connection that nobody has accepted gets its option later; what becomes of it another socket of the kind says.
static s64 set_waiting_option(System& system, FollowedSocket& socket, OptionName option, const void* value, u32 size) {
  if (!is_option(option, size)) return -EINVAL;
  const u8* const bytes = static_cast<const u8*>(value);
  WaitingOption waiting{static_cast<int>(option.level), static_cast<int>(option.name), {bytes, bytes + size}, {bytes, bytes + size}};
  const UniqueFd other(::socket(socket.facts.family, socket.facts.type | SOCK_CLOEXEC, socket.facts.protocol));
  if (other && !names_device(option)) {
    if (const s64 done = set_socket_option(system, other.get(), option, value, size)) return done;
    (void)get_socket_option(system, other.get(), option, waiting.shown.data(), size);
    if (is_congestion(option)) forget_congestion(system, other.get());
  }
  socket.options.push_back(std::move(waiting));
  return 0;
}

s64 set_socket_option(System& system, FollowedSocket& socket, OptionName option, const void* value, u32 size) {
  s64 done = 0;
  const bool waits = socket.facts.inode == 0 && socket.listener;
  const CopiedSocket fd(waits ? UniqueFd() : Sockets::descriptor_of(system.host, socket.facts.inode));
  if (waits) {
    done = set_waiting_option(system, socket, option, value, size);
  } else if (fd) {
    done = set_socket_option(system, fd.get(), option, value, size);
  } else {
    if (!is_option(option, size)) return -EINVAL;  // nobody can see it any longer
  }
  if (done == 0) note_set(socket, option, value, size);
  (void)system.probes->sockets().sock(socket);
  return done;
}

s64 get_socket_option(System& system, FollowedSocket& socket, OptionName option, void* value, u32 size) {
  if (option.level == IPPROTO_TCP && option.name == kSavedSyn && socket.listener)
    return saved_syn(system, socket, value, size);
  const bool waits = socket.facts.inode == 0 && socket.listener;
  const auto set = std::find_if(socket.options.rbegin(), socket.options.rend(), [&](const WaitingOption& each) {
    return each.level == static_cast<int>(option.level) && each.name == static_cast<int>(option.name);
  });
  if (set != socket.options.rend()) {
    std::memcpy(value, set->shown.data(), std::min<size_t>(size, set->shown.size()));
    return 0;
  }
  // A connection begins with its listener's.
  const CopiedSocket fd(Sockets::descriptor_of(system.host, waits ? socket.listener : socket.facts.inode));
  if (fd) return get_socket_option(system, fd.get(), option, value, size);
  system.unmodelled.note("options of a socket that is closed");
  return -EINVAL;
}

void apply_waiting_options(System& system, Task& task, FollowedSocket& socket, int fd) {
  const auto options = std::exchange(socket.options, {});
  if (options.empty()) return;
  const CopiedSocket copy(UniqueFd(task.share_fd(fd).value_or(-1)));
  for (const WaitingOption& each : options) {
    const OptionName option{static_cast<u32>(each.level), static_cast<u32>(each.name)};
    (void)set_socket_option(system, copy.get(), option, each.value.data(), static_cast<u32>(each.value.size()));
  }
}

void connect_socket_options(System& system, Outlets& outlets) {
  System& s = system;
  outlets.sock_cookie = [&s](u64 sock) {
    const SocketRef socket = s.probes->sockets().at(sock);
    return socket ? socket->facts.cookie : 0;
  };
  outlets.set_sock_option = [&s](u64 sock, u32 level, u32 name, const void* value, u32 size) -> s64 {
    const SocketRef socket = s.probes->sockets().at(sock);
    return socket ? set_socket_option(s, *socket, {level, name}, value, size) : -EINVAL;
  };
  outlets.get_sock_option = [&s](u64 sock, u32 level, u32 name, void* value, u32 size) -> s64 {
    const SocketRef socket = s.probes->sockets().at(sock);
    return socket ? get_socket_option(s, *socket, {level, name}, value, size) : -EINVAL;
  };
}

}  // namespace bpfemu
