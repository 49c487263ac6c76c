// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/cgroup_run.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "emu/kernel/socket_view.h"
#include "emu/syscalls/socket_options.h"
#include "emu/syscalls/storage_owner.h"

namespace bpfemu {

namespace {

constexpr s64 kMaxErrno = 4095;

}  // namespace

std::vector<CgroupProgram> held_programs(const Cgroup& cgroup, u32 place) {
  std::vector<CgroupProgram> programs = effective_programs(cgroup, place);
  for (CgroupProgram& each : programs) {
    each.program = each.runs();
    each.link = nullptr;
  }
  return programs;
}

s64 run_programs(RunScope& scope, const std::vector<CgroupProgram>& programs, void* context, s32 result, u32* flags,
                 s32* own_result) {
  scope.run().retval = result;
  for (const CgroupProgram& each : programs) {
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

CgroupRun::CgroupRun(System& system, Task* task, const Cgroup& cgroup, u32 attach_type)
    : system_(system), task_(task), programs_(held_programs(cgroup, attach_type)) {}

CgroupRun::~CgroupRun() {
  for (const CgroupProgram& each : programs_)
    for (const auto& map : each.program->verified.used_maps) drop_closed_owners(system_, *map);
  if (memory_.size) system_.arena->release(memory_);
}

void* CgroupRun::allocate(u64 size) {
  auto memory = system_.arena->allocate(size);
  if (!memory) return nullptr;
  memory_ = *memory;
  return reinterpret_cast<void*>(memory_.address);
}

s64 CgroupRun::run(const SocketServices* services, void* context, s32 result, u32* flags, s32* own_result) {
  RunScope scope(system_.probes->runner(), task_, task_ ? &task_->regs() : nullptr, ProgramNeeds::everything());
  if (!scope) return result;
  scope.set_socket_call(services);
  return run_programs(scope, programs_, context, result, flags, own_result);
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
  sock.cgroup = cgroup_->id();
}

SocketServices CgroupSocket::services() {
  return {
      .self = this,
      .bind = [](void* self, const void* address,
                 u32 size) { return static_cast<CgroupSocket*>(self)->bind(address, size); },
      .set_option =
          [](void* self, u32 level, u32 name, const void* value, u32 size) {
            auto& socket = *static_cast<CgroupSocket*>(self);
            return set_socket_option(*socket.system_, socket.fd_, {level, name}, value, size);
          },
      .get_option = [](void* self, u32 level, u32 name, void* value, u32 size) {
        const auto& socket = *static_cast<CgroupSocket*>(self);
        return get_socket_option(*socket.system_, socket.fd_, {level, name}, value, size);
      }};
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

}  // namespace bpfemu
