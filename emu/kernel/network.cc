// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/network.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

namespace bpfemu {

namespace {

u32 inode_of(const char* path) {
  struct stat st;
  return ::stat(path, &st) == 0 ? static_cast<u32>(st.st_ino) : 0;
}

}  // namespace

u32 own_network() {
  return inode_of("/proc/self/ns/net");
}

u32 network_of(const Task& task) {
  return inode_of(fmt::format("/proc/{}/ns/net", task.tid()).c_str());
}

// The thread makes the socket of another network than ours, which then is of that one in our hands too.
UniqueFd make_socket_in(Task* task, u32 network, int family, int type, int protocol) {
  type |= SOCK_CLOEXEC;
  if (network == own_network()) return UniqueFd(::socket(family, type, protocol));
  if (!task) return {};
  const auto words = {family, type, protocol};
  std::array<u64, 6> args{};
  std::ranges::copy(words, args.begin());
  const auto theirs = task->call(SYS_socket, args);
  if (!theirs) return {};
  const auto ours = task->share_fd(static_cast<int>(*theirs));
  (void)task->call(SYS_close, {*theirs});
  return UniqueFd(ours.value_or(-1));
}

}  // namespace bpfemu
