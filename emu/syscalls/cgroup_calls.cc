// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/cgroup_calls.h"

#include <linux/bpf.h>
#include <sys/syscall.h>

#include <algorithm>
#include <iterator>

#include "emu/runtime/maps/cgroup_storage.h"
#include "emu/syscalls/quiet_paths.h"

namespace bpfemu {

namespace {

// What nothing passes, or not all that should.
struct Unpassed {
  u32 attach_type;
  const char* what;
};
constexpr Unpassed kUnpassed[] = {
    {BPF_CGROUP_INET_INGRESS, "packets for cgroup_skb programs"},
    {BPF_CGROUP_INET_EGRESS, "packets for cgroup_skb programs"},
    {BPF_CGROUP_SYSCTL, "sysctls that are the host's, for programs of cgroups"},
};

// Which calls pass what.
struct Passed {
  u32 attach_type;
  long calls[7];
};
constexpr Passed kPassed[] = {
    {BPF_CGROUP_INET_SOCK_CREATE, {SYS_socket}},
    {BPF_CGROUP_INET_SOCK_RELEASE, {SYS_close, SYS_dup2, SYS_dup3}},
    {BPF_CGROUP_INET4_BIND, {SYS_bind}},
    {BPF_CGROUP_INET6_BIND, {SYS_bind}},
    {BPF_CGROUP_INET4_POST_BIND, {SYS_bind}},
    {BPF_CGROUP_INET6_POST_BIND, {SYS_bind}},
    {BPF_CGROUP_INET4_CONNECT, {SYS_connect}},
    {BPF_CGROUP_INET6_CONNECT, {SYS_connect}},
    {BPF_CGROUP_UDP4_SENDMSG, {SYS_sendto, SYS_sendmsg, SYS_sendmmsg}},
    {BPF_CGROUP_UDP6_SENDMSG, {SYS_sendto, SYS_sendmsg, SYS_sendmmsg}},
    {BPF_CGROUP_UDP4_RECVMSG, {SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg}},
    {BPF_CGROUP_UDP6_RECVMSG, {SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg}},
    {BPF_CGROUP_INET4_GETPEERNAME, {SYS_getpeername}},
    {BPF_CGROUP_INET6_GETPEERNAME, {SYS_getpeername}},
    {BPF_CGROUP_INET4_GETSOCKNAME, {SYS_getsockname}},
    {BPF_CGROUP_INET6_GETSOCKNAME, {SYS_getsockname}},
    {BPF_CGROUP_GETSOCKOPT, {SYS_getsockopt}},
    {BPF_CGROUP_DEVICE,
     {SYS_open, SYS_openat, SYS_openat2, SYS_creat, SYS_access, SYS_faccessat, SYS_faccessat2}},
    {BPF_CGROUP_SETSOCKOPT, {SYS_setsockopt}},
};

}  // namespace

const char* never_passed(u32 attach_type) {
  const auto line = std::ranges::find(kUnpassed, attach_type, &Unpassed::attach_type);
  return line == std::end(kUnpassed) ? nullptr : line->what;
}

void want_cgroup_calls(System& system, u32 attach_type) {
  system.cgroups.used_types.set(attach_type);
  SyscallSet calls;
  for (const Passed& each : kPassed)
    if (each.attach_type == attach_type)
      for (long number : each.calls) calls.set(static_cast<size_t>(number));
  calls.reset(0);  // read() is none of them: the place of a call that is not there
  if (calls.any()) system.host.want_everywhere(calls);
  system.quiet_paths->always_ask(calls);
  if (attach_type == BPF_CGROUP_SOCK_OPS) system.probes->programs_changed();
}

void watch_sockets(System& system, Task& task) {
  SyscallSet calls;
  for (long number : {SYS_socket, SYS_socketpair, SYS_accept, SYS_accept4}) calls.set(static_cast<size_t>(number));
  system.host.want_in_process(task, calls);
}

void forget_cgroup_storage(IdSpace<MapObject>& maps, u64 cgroup) {
  for (auto id = maps.next(0); id; id = maps.next(*id)) {
    const auto map = maps.find(*id);
    if (map && has_trait((*map)->map(), kCgroupStorage)) cgroup_storage_forget((*map)->map(), cgroup);
  }
}

}  // namespace bpfemu
