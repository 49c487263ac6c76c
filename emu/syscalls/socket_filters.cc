// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/socket_filters.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "emu/kernel/network.h"
#include "emu/kernel/sockets.h"
#include "emu/syscalls/bpf.h"

namespace bpfemu {

namespace {

bool is_locked(int socket) {
  int locked = 0;
  socklen_t size = sizeof locked;
  return ::getsockopt(socket, SOL_SOCKET, SO_LOCK_FILTER, &locked, &size) == 0 && locked;
}

// Is it in the kernel's tables (kernel: sk_unhashed)?
bool is_hashed(const SocketFacts& facts) {
  return facts.is_tcp() ? facts.state != kTcpClose : facts.local.port != 0;
}

// Kernel: the check of sk_reuseport_attach_bpf.
bool can_choose(const SocketFacts& facts) {
  const bool protocol = facts.protocol == IPPROTO_TCP || facts.protocol == IPPROTO_UDP;
  return facts.internet() && protocol && (facts.type == SOCK_STREAM || facts.type == SOCK_DGRAM);
}

}  // namespace

// One setsockopt() that gives a socket a program or takes it away.
class SocketOption {
 public:
  SocketOption(System& system, Task& task, int socket, SocketFacts facts)
      : system_(system), task_(task), socket_(socket), facts_(std::move(facts)), programs_(system.socket_filters) {}

  // None: the host's kernel does it.
  std::optional<Reply> set(int option, int value, u64 size);

 private:
  using Attached = SocketFilters::Attached;
  Result<void> attach_filter(int fd);
  Result<void> attach_chooser(int fd);
  std::optional<Reply> detach_filter();
  std::optional<Reply> detach_chooser();
  void stop_at_others();

  System& system_;
  Task& task_;
  int socket_;
  SocketFacts facts_;
  SocketFilters& programs_;
};

SocketFilters::BySocket::iterator SocketFilters::of_group(BySocket& programs, const SocketFacts& socket) {
  const auto own = programs.find(socket.cookie);
  if (own != programs.end() || !is_hashed(socket)) return own;
  return std::ranges::find_if(programs, [&](const auto& entry) {
    const SocketFacts& other = entry.second.socket;
    return other.netns == socket.netns && other.protocol == socket.protocol && other.local == socket.local;
  });
}

void SocketFilters::drop_closed(Host& host) {
  if (filters_.empty() && choosers_.empty()) return;
  const std::set<u64> open = Sockets::inodes_of(host.thread_groups());
  for (BySocket* programs : {&filters_, &choosers_})
    std::erase_if(*programs, [&](const auto& entry) { return !open.contains(entry.second.socket.inode); });
}

// From now on what takes the program away is seen, too.
void SocketOption::stop_at_others() {
  SyscallSet calls;
  calls.set(SYS_setsockopt);
  system_.host.want_in_process(task_, calls);
}

// Kernel: sk_attach_bpf. A classic filter of the socket's goes.
Result<void> SocketOption::attach_filter(int fd) {
  if (is_locked(socket_)) return fail(EPERM);
  auto program = TRY(program_behind(system_, task_, fd));
  if (program->type != BPF_PROG_TYPE_SOCKET_FILTER) return fail(EINVAL);
  TRY(check_runnable(system_, *program));
  const int ignored = 0;
  (void)::setsockopt(socket_, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored);
  programs_.filters_[facts_.cookie] = Attached{facts_, std::move(program)};
  system_.unmodelled.note("packets for socket filters");
  stop_at_others();
  return {};
}

// Kernel: sk_reuseport_attach_bpf.
Result<void> SocketOption::attach_chooser(int fd) {
  if (is_locked(socket_)) return fail(EPERM);
  auto program = TRY(program_behind(system_, task_, fd));
  const bool chooses = program->type == BPF_PROG_TYPE_SK_REUSEPORT;
  if (!chooses && program->type != BPF_PROG_TYPE_SOCKET_FILTER) return fail(EINVAL);
  if (chooses && !can_choose(facts_)) return fail(ENOTSUPP);
  if (!facts_.reuse_port) return fail(EINVAL);
  TRY(check_runnable(system_, *program));
  const auto there = SocketFilters::of_group(programs_.choosers_, facts_);
  if (there != programs_.choosers_.end()) programs_.choosers_.erase(there);
  programs_.choosers_[facts_.cookie] = Attached{facts_, std::move(program)};
  system_.unmodelled.note("packets for reuseport programs");
  stop_at_others();
  return {};
}

std::optional<Reply> SocketOption::detach_filter() {
  if (!programs_.filters_.contains(facts_.cookie)) return std::nullopt;
  if (is_locked(socket_)) return Reply::answer(s64{-EPERM});
  programs_.filters_.erase(facts_.cookie);
  return Reply::answer(s64{0});
}

std::optional<Reply> SocketOption::detach_chooser() {
  const auto there = SocketFilters::of_group(programs_.choosers_, facts_);
  if (there == programs_.choosers_.end()) return std::nullopt;
  programs_.choosers_.erase(there);
  return Reply::answer(s64{0});
}

std::optional<Reply> SocketOption::set(int option, int value, u64 size) {
  switch (option) {
    case SO_ATTACH_BPF:
      if (size != sizeof value) return Reply::answer(s64{-EINVAL});
      return Reply::answer(attach_filter(value));
    case SO_ATTACH_REUSEPORT_EBPF:
      if (size != sizeof value) return Reply::answer(s64{-EINVAL});
      return Reply::answer(attach_chooser(value));
    case SO_DETACH_FILTER: return detach_filter();
    case SO_DETACH_REUSEPORT_BPF: return detach_chooser();
    default: programs_.filters_.erase(facts_.cookie); return std::nullopt;  // a classic filter takes its place
  }
}

std::optional<Reply> set_socket_program(System& system, Call& call) {
  constexpr int kOptions[] = {SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF, SO_DETACH_FILTER, SO_DETACH_REUSEPORT_BPF,
                              SO_ATTACH_FILTER};
  const int option = static_cast<int>(call.args[2]);
  const bool concerned = std::ranges::find(kOptions, option) != std::end(kOptions);
  if (static_cast<int>(call.args[1]) != SOL_SOCKET || !concerned) return std::nullopt;
  const auto copy = call.task.share_fd(static_cast<int>(call.args[0]));
  if (!copy) return std::nullopt;
  auto facts = socket_facts(*copy);
  int value = -1;
  std::optional<Reply> reply;
  if (facts && call.args[4] >= sizeof value && call.task.read(call.args[3], &value, sizeof value)) {
    facts->netns = network_of(call.task);
    reply = SocketOption(system, call.task, *copy, std::move(*facts)).set(option, value, call.args[4]);
  }
  close_copied_socket(*copy);
  return reply;
}

}  // namespace bpfemu
