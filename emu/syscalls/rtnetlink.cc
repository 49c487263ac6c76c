// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/rtnetlink.h"

#include "emu/syscalls/call.h"

namespace bpfemu {

void Rtnetlink::add(Task& task, int fd) {
  constexpr size_t kMost = size_t{1} << 16;
  auto id = task.file_id(fd);
  if (!id || sockets_.size() == kMost) return;
  sockets_.insert(*id);
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

}  // namespace bpfemu
