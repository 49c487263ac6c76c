// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/cgroup_run.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "emu/kernel/held_socket.h"

namespace bpfemu {

namespace {

constexpr s64 kMaxErrno = 4095;

// Which options programs may set and read of each level (kernel: sol_socket_sockopt and its kin).
bool is_option(u32 level, u32 name) {
  switch (level) {
    case SOL_SOCKET:
      switch (name) {
        case SO_SNDBUF:
        case SO_RCVBUF:
        case SO_KEEPALIVE:
        case SO_PRIORITY:
        case SO_REUSEPORT:
        case SO_RCVLOWAT:
        case SO_MARK:
        case SO_MAX_PACING_RATE:
        case SO_BINDTOIFINDEX:
        case SO_BINDTODEVICE:
        case SO_TXREHASH: return true;
        default: return false;
      }
    case IPPROTO_TCP:
      switch (name) {
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
        case TCP_SAVE_SYN:
        case TCP_CONGESTION: return true;
        default: return false;
      }
    case IPPROTO_IP: return name == IP_TOS;
    case IPPROTO_IPV6: return name == IPV6_TCLASS || name == IPV6_AUTOFLOWLABEL;
    default: return false;
  }
}

}  // namespace

CgroupRun::CgroupRun(System& system, Task& task, const Cgroup& cgroup, u32 attach_type)
    : system_(system), task_(task), programs_(effective_programs(cgroup, attach_type)) {
  // A link may go while programs run.
  for (CgroupProgram& each : programs_) {
    each.program = each.runs();
    each.link = nullptr;
  }
}

CgroupRun::~CgroupRun() {
  if (memory_.size) system_.arena->release(memory_);
}

void* CgroupRun::allocate(u64 size) {
  auto memory = system_.arena->allocate(size);
  if (!memory) return nullptr;
  memory_ = *memory;
  return reinterpret_cast<void*>(memory_.address);
}

s64 CgroupRun::run(const SocketServices* services, void* context, s32 result, u32* flags, s32* own_result) {
  RunScope scope(system_.probes->runner(), &task_, &task_.regs(), ProgramNeeds::everything());
  if (!scope) return result;
  scope.set_socket_call(services);
  scope.run().retval = result;
  for (const CgroupProgram& each : programs_) {
    s32& retval = scope.run().retval;
    const s32 before = retval;
    if (own_result) *own_result = before;
    const u64 stride = each.storage[1] ? scope.run().cpu->id : 0;
    for (size_t kind = 0; kind < 2; ++kind) scope.run().cgroup_storage[kind] = each.storage[kind];
    for (const auto& map : each.program->verified.used_maps)
      if (stride && map->map().type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE)
        scope.run().cgroup_storage[1] += stride * round_up(map->map().value_size, 8);
    u32 returned = static_cast<u32>(scope.call(*each.program, context));
    if (own_result && *own_result != before) retval = *own_result;
    if (flags) {
      *flags |= returned >> 1;
      returned &= 1;
    }
    const bool is_error = retval < 0 && retval >= -kMaxErrno;
    if (!returned && !is_error) retval = -EPERM;
  }
  return scope.run().retval;
}

CgroupSocket::CgroupSocket(System& system, int fd, SocketFacts facts)
    : fd_(fd), facts_(std::move(facts)), cgroup_(system.cgroups.of_socket(facts_.inode)), system_(&system) {}

CgroupSocket::~CgroupSocket() {
  if (fd_ >= 0) close_copied_socket(fd_);
}

std::optional<CgroupSocket> CgroupSocket::of(System& system, Task& task, int fd) {
  const auto copy = task.share_fd(fd);
  if (!copy) return std::nullopt;
  auto facts = socket_facts(*copy);
  if (!facts) {
    ::close(*copy);
    return std::nullopt;
  }
  return CgroupSocket(system, *copy, std::move(*facts));
}

void CgroupSocket::show(RunSock& sock) const {
  show_socket(facts_, sock);
}

SocketServices CgroupSocket::services() {
  return {
      .self = this,
      .bind = [](void* self, const void* address,
                 u32 size) { return static_cast<CgroupSocket*>(self)->bind(address, size); },
      .set_option = [](void* self, u32 level, u32 name, const void* value,
                       u32 size) { return static_cast<CgroupSocket*>(self)->set_option(level, name, value, size); },
      .get_option = [](void* self, u32 level, u32 name, void* value,
                       u32 size) { return static_cast<CgroupSocket*>(self)->get_option(level, name, value, size); }};
}

// Kernel: bpf_bind. Without a port only the address is bound.
s64 CgroupSocket::bind(const void* address, u32 size) {
  sockaddr_storage name{};
  if (size < sizeof name.ss_family || size > sizeof name) return -EINVAL;
  std::memcpy(&name, address, size);
  const bool ip4 = name.ss_family == AF_INET, ip6 = name.ss_family == AF_INET6;
  if (!ip4 && !ip6) return -EAFNOSUPPORT;
  if (size < (ip4 ? sizeof(sockaddr_in) : offsetof(sockaddr_in6, sin6_scope_id))) return -EINVAL;
  const int no_port = SocketEnd::from(name).port == 0, before = facts_.bind_address_no_port;
  if (no_port) (void)::setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &no_port, sizeof no_port);
  const s64 done = ::bind(fd_, reinterpret_cast<const sockaddr*>(&name), size) == 0 ? 0 : -errno;
  if (no_port) (void)::setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &before, sizeof before);
  return done;
}

// Kernel: _bpf_setsockopt, which asks for no privilege; the host's own call may.
s64 CgroupSocket::set_option(u32 level, u32 name, const void* value, u32 size) {
  if (!is_option(level, name)) return -EINVAL;
  if (::setsockopt(fd_, static_cast<int>(level), static_cast<int>(name), value, size) == 0) return 0;
  const int error = errno;
  if (error == EPERM || error == EACCES) system_->unmodelled.note("socket options that the host refuses programs");
  return -error;
}

s64 CgroupSocket::get_option(u32 level, u32 name, void* value, u32 size) {
  const bool cookie = level == SOL_SOCKET && name == SO_NETNS_COOKIE;
  if (!cookie && !is_option(level, name)) return -EINVAL;
  socklen_t length = size;
  return ::getsockopt(fd_, static_cast<int>(level), static_cast<int>(name), value, &length) == 0 ? 0 : -errno;
}

}  // namespace bpfemu
