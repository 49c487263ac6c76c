// SPDX-License-Identifier: Apache-2.0
// Socket options, and sockets that are made, as programs of cgroups see and change them.
#include <dirent.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <vector>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/cgroup_run.h"
#include "emu/syscalls/congestion.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/storage_owner.h"

namespace bpfemu {

namespace {

constexpr s32 kPage = 4096, kMostValue = 1 << 16, kLeast = 16;  // room for "cubic" in the place of a shorter name

int fd_of(const Call& call) {
  return static_cast<int>(call.args[0]);
}

// The context of one option, with its value behind it: at most a page of it is shown (kernel: sockopt_alloc_buf).
struct OptionContext {
  RunSockopt* context;
  s32 room;

  u8* value() const { return reinterpret_cast<u8*>(context + 1); }
};

std::optional<OptionContext> make_context(CgroupRun& run, CgroupSocket& socket, const Call& call, s32 size) {
  const s32 room = std::min(size, kPage);
  auto* const context = run.place<RunSockopt>(static_cast<u64>(room));
  if (!context) return std::nullopt;
  const OptionContext made{context, room};
  socket.show(context->sock);
  bpf_sockopt& seen = context->seen;
  seen.sk = reinterpret_cast<bpf_sock*>(&context->sock);
  seen.optval = made.value();
  seen.optval_end = made.value() + room;
  seen.level = static_cast<s32>(call.args[1]);
  seen.optname = static_cast<s32>(call.args[2]);
  seen.optlen = size;
  return made;
}

// The value that programs have made goes to the kernel from a page of the thread's own.
Reply set_changed(Call& call, const OptionContext& option) {
  const bpf_sockopt& seen = option.context->seen;
  call.args[1] = static_cast<u32>(seen.level);
  call.args[2] = static_cast<u32>(seen.optname);
  if (seen.optlen == 0) return Reply::rewritten();  // the caller's own value
  const auto scratch = call.task.scratch(static_cast<u64>(seen.optlen));
  if (!scratch || !call.task.write(*scratch, option.value(), static_cast<u64>(seen.optlen)))
    return Reply::answer(-EFAULT);
  call.args[3] = *scratch;
  call.args[4] = static_cast<u64>(seen.optlen);
  return Reply::rewritten();
}

bool bypasses(const SocketFacts& facts, const Call& call) {
  return facts.is_tcp() && call.args[1] == IPPROTO_TCP &&
         call.args[2] == TCP_ZEROCOPY_RECEIVE;  // kernel: tcp_bpf_bypass_getsockopt
}

// Options whose value depends on who asks.
bool is_askers_own(const Call& call) {
  constexpr u64 kPeerPidFd = 77;  // SO_PEERPIDFD
  return call.args[1] == SOL_SOCKET && (call.args[2] == SO_PEERCRED || call.args[2] == kPeerPidFd);
}

// The call itself, on the supervisor's descriptor for the socket; what it gives is put where the caller wants it.
Result<void> get_own(Call& call, const CgroupSocket& socket, s32 size) {
  std::vector<u8> value(static_cast<size_t>(std::min(size, kMostValue)));
  socklen_t given = static_cast<u32>(value.size());
  const int level = static_cast<int>(call.args[1]), option = static_cast<int>(call.args[2]);
  if (::getsockopt(socket.fd(), level, option, value.data(), &given) != 0) return fail(errno);
  if (given) TRY(call.task.write(call.args[3], value.data(), std::min<size_t>(given, value.size())));
  return call.task.write(call.args[4], &given, sizeof given);
}

// What programs have changed of a socket that is being made.
void apply(System& system, const CgroupSocket& socket, const RunSock& sock) {
  bool done = true;
  const auto set = [&](int option, u32 value, u32 before) {
    if (value != before) done &= ::setsockopt(socket.fd(), SOL_SOCKET, option, &value, sizeof value) == 0;
  };
  set(SO_BINDTOIFINDEX, sock.bound_dev_if, static_cast<u32>(socket.facts().bound_device));
  set(SO_MARK, sock.mark, socket.facts().mark);
  set(SO_PRIORITY, sock.priority, socket.facts().priority);
  if (!done) system.unmodelled.note("socket options that the host refuses programs");
}

// Kernel: inet_create asks when the socket is whole, and takes it back.
s64 run_created(System& system, Task& task, int fd) {
  const auto id = task.file_id(fd);
  if (id) system.cgroups.keep_socket(id->ino, system.cgroups.of(task.tid()));
  auto socket = CgroupSocket::of(system, task, fd);
  if (!socket || !socket->internet()) return 0;
  CgroupRun run(system, task, socket->cgroup(), BPF_CGROUP_INET_SOCK_CREATE);
  auto* const sock = run.any() ? run.place<RunSock>() : nullptr;
  if (!sock) return 0;
  socket->show(*sock);
  const SocketServices services = socket->services();
  const s64 result = run.run(&services, &sock->bound_dev_if);
  if (result == 0) apply(system, *socket, *sock);
  return result;
}

}  // namespace

// Kernel: __cgroup_bpf_run_filter_setsockopt.
std::optional<Reply> set_option_in_cgroup(System& system, Call& call) {
  const s32 size = static_cast<s32>(call.args[4]);
  if (size < 0 || !system.cgroups.used_types[BPF_CGROUP_SETSOCKOPT]) return std::nullopt;
  auto socket = CgroupSocket::of(system, call.task, fd_of(call));
  if (!socket) return std::nullopt;
  CgroupRun run(system, call.task, socket->cgroup(), BPF_CGROUP_SETSOCKOPT);
  if (!run.any()) return std::nullopt;
  const auto option = make_context(run, *socket, call, std::max(size, kLeast));
  if (!option) return Reply::answer(-ENOMEM);
  bpf_sockopt& seen = option->context->seen;
  seen.optlen = size;
  const u64 shown = static_cast<u64>(std::min(size, option->room));
  if (shown && !call.task.read(call.args[3], option->value(), shown)) return Reply::answer(-EFAULT);
  const SocketServices services = socket->services();
  if (const s64 result = run.run(&services, &seen)) return Reply::answer(result);
  if (seen.optlen == -1) return Reply::answer(s64{0});
  if (seen.optlen > option->room || seen.optlen < -1) {
    if (size > kPage && seen.optlen >= 0) return std::nullopt;
    return Reply::answer(-EFAULT);
  }
  return set_changed(call, *option);
}

// Kernel: __cgroup_bpf_run_filter_getsockopt.
std::optional<Reply> get_option_in_cgroup(System& system, Call& call) {
  s32 size = 0;
  if (!system.cgroups.used_types[BPF_CGROUP_GETSOCKOPT]) return std::nullopt;
  if (!call.task.read(call.args[4], &size, sizeof size) || size < 0) return std::nullopt;
  auto socket = CgroupSocket::of(system, call.task, fd_of(call));
  if (!socket || bypasses(socket->facts(), call)) return std::nullopt;
  CgroupRun run(system, call.task, socket->cgroup(), BPF_CGROUP_GETSOCKOPT);
  if (!run.any()) return std::nullopt;
  if (is_askers_own(call)) {
    system.unmodelled.note("getsockopt programs for SO_PEERCRED");
    return std::nullopt;
  }
  const auto own = get_own(call, *socket, size);
  const s32 retval = own ? 0 : -own.error().value;
  const auto option = make_context(run, *socket, call, size);
  if (!option) return Reply::answer(-ENOMEM);
  bpf_sockopt& seen = option->context->seen;
  if (own) {
    if (!call.task.read(call.args[4], &seen.optlen, sizeof seen.optlen) || seen.optlen < 0)
      return Reply::answer(-EFAULT);
    size = seen.optlen;
    const u64 shown = static_cast<u64>(std::min(size, option->room));
    if (shown && !call.task.read(call.args[3], option->value(), shown)) return Reply::answer(-EFAULT);
  }
  const SocketServices services = socket->services();
  const s64 result = run.run(&services, &seen, retval, nullptr, &seen.retval);
  if (result < 0) return Reply::answer(result);
  if (call.args[3] && (seen.optlen > option->room || seen.optlen < 0)) {
    return Reply::answer(size > kPage && seen.optlen >= 0 ? retval : -EFAULT);
  }
  if (seen.optlen != 0) {
    const bool put = (!call.args[3] || call.task.write(call.args[3], option->value(), static_cast<u64>(seen.optlen))) &&
                     call.task.write(call.args[4], &seen.optlen, sizeof seen.optlen);
    if (!put) return Reply::answer(-EFAULT);
  }
  return Reply::answer(result);
}

std::optional<Reply> make_socket_in_cgroup(System& system, Call& call) {
  const Cgroup& cgroup = *system.cgroups.of(call.task.tid());
  if (!cgroup.parent() && effective_programs(cgroup, BPF_CGROUP_INET_SOCK_CREATE).empty()) return std::nullopt;
  const auto made = call.task.call(SYS_socket, call.args);
  if (!made) return Reply::answer(-s64{made.error().value});
  const s64 refused = run_created(system, call.task, static_cast<int>(*made));
  if (!refused) return Reply::answer(*made);
  (void)call.task.call(SYS_close, {*made});
  return Reply::answer(refused);
}

namespace {

void run_released(CgroupRun& run, CgroupSocket& socket) {
  auto* const sock = run.place<RunSock>();
  if (!sock) return;
  socket.show(*sock);
  const SocketServices services = socket.services();
  (void)run.run(&services, &sock->bound_dev_if);
}

std::vector<int> open_descriptors(const Task& task) {
  std::vector<int> descriptors;
  DIR* const list = ::opendir(fmt::format("/proc/{}/fd", task.tgid()).c_str());
  if (!list) return descriptors;
  while (const dirent* const entry = ::readdir(list))
    if (entry->d_name[0] != '.') descriptors.push_back(std::atoi(entry->d_name));
  ::closedir(list);
  return descriptors;
}

}  // namespace

void close_in_cgroup(System& system, Task& task, int fd) {
  if (!system.cgroups.used_types[BPF_CGROUP_INET_SOCK_RELEASE]) return;
  auto socket = CgroupSocket::of(system, task, fd);
  if (!socket || !socket->internet()) return;
  CgroupRun run(system, task, socket->cgroup(), BPF_CGROUP_INET_SOCK_RELEASE);
  if (!run.any() || system.cgroups.descriptors_of_socket(socket->facts().inode) > 1) return;
  run_released(run, *socket);
}

void end_in_cgroup(System& system, Task& task) {
  if (!system.cgroups.used_types[BPF_CGROUP_INET_SOCK_RELEASE]) return;
  std::vector<pid_t> others = system.host.thread_groups();
  std::erase(others, task.tgid());
  std::set<u64> seen;
  for (int fd : open_descriptors(task)) {
    auto socket = CgroupSocket::of(system, task, fd);
    if (!socket || !socket->internet() || !seen.insert(socket->facts().inode).second) continue;
    CgroupRun run(system, task, socket->cgroup(), BPF_CGROUP_INET_SOCK_RELEASE);
    FollowedSocket own;
    own.facts = socket->facts();
    if (run.any() && !Sockets::held_by(others, own)) run_released(run, *socket);
  }
}

Reply enter_socketpair(System&, Call&) {
  return Reply::native_then_exit();
}

s64 exit_socketpair(System& system, Call& call, s64 result) {
  int pair[2];
  if (result != 0 || !call.task.read(call.args[3], pair, sizeof pair)) return result;
  for (int fd : pair)
    if (const auto id = call.task.file_id(fd)) system.cgroups.keep_socket(id->ino, system.cgroups.of(call.task.tid()));
  return result;
}

// A connection is in the cgroup of its listener (kernel: cgroup_sk_clone).
Reply enter_accept(System&, Call&) {
  return Reply::native_then_exit();
}

s64 exit_accept(System& system, Call& call, s64 result) {
  if (result < 0) return result;
  accepted_congestion(system, call, result);
  const auto listener = call.task.file_id(fd_of(call)), accepted = call.task.file_id(static_cast<int>(result));
  const auto from = CgroupSocket::of(system, call.task, fd_of(call));
  const auto to = CgroupSocket::of(system, call.task, static_cast<int>(result));
  if (from && to) clone_socket_storage(system, from->facts().cookie, to->facts().cookie);
  if (listener && accepted) system.cgroups.keep_socket(accepted->ino, system.cgroups.of_socket(listener->ino));
  return result;
}

}  // namespace bpfemu
