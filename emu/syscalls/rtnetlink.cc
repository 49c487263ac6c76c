// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/rtnetlink.h"

#include <sys/syscall.h>

#include "emu/syscalls/call.h"

namespace bpfemu {

void Rtnetlink::add(Task& task, int fd) {
  constexpr size_t kMost = size_t{1} << 16;
  auto id = task.file_id(fd);
  if (!id || sockets_.size() == kMost) return;
  sockets_.try_emplace(*id);
  SyscallSet sends;
  for (const TracedSyscall& call : traced_syscalls())
    if (call.when == TraceWhen::kNetlink) sends.set(static_cast<size_t>(call.number));
  host_.want_in_process(task, sends);
}

bool Rtnetlink::contains(Task& task, int fd) const {
  if (sockets_.empty()) return false;
  auto id = task.file_id(fd);
  return id && sockets_.contains(*id);
}

RtnetlinkSocket* Rtnetlink::change(Task& task, int fd) {
  add(task, fd);
  const auto id = task.file_id(fd);
  const auto socket = id ? sockets_.find(*id) : sockets_.end();
  if (socket == sockets_.end()) return nullptr;
  SyscallSet receives;
  for (long number : {SYS_recvfrom, SYS_recvmsg}) receives.set(static_cast<size_t>(number));
  host_.want_in_process(task, receives);
  return &socket->second;
}

RtnetlinkSocket* Rtnetlink::changed(Task& task, int fd) {
  if (sockets_.empty()) return nullptr;
  const auto id = task.file_id(fd);
  const auto socket = id ? sockets_.find(*id) : sockets_.end();
  return socket != sockets_.end() && socket->second.is_changed() ? &socket->second : nullptr;
}

}  // namespace bpfemu
