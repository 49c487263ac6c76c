// SPDX-License-Identifier: Apache-2.0
// Waiting for carriers. The kernel itself waits; we only see to it that what it finds readable is what the emulated
// file would report: consumed buffers are drained before a wait, and a descriptor that joins an epoll set is asked
// anew.
#include "emu/syscalls/poll.h"

#include <sys/epoll.h>

#include "emu/syscalls/system.h"

namespace bpfemu {

// Nothing is ever set here: a record that woke nobody when it was written must not end a wait that begins later.
Reply enter_wait(System& system, Call&) {
  system.files.settle();
  return Reply::native();
}

// kernel: ep_insert and ep_modify ask the file at once, so readiness is recomputed both ways.
Reply enter_epoll_ctl(System& system, Call& call) {
  int operation = static_cast<int>(call.args[1]);
  if (operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_MOD) return Reply::native();
  auto found = system.files.find(call.task, static_cast<int>(call.args[2]));
  if (!found || !*found) return Reply::native();
  File& file = **found;
  if (!file.pollable()) {
    // Of bpf objects only maps have a poll operation (kernel: file_can_poll).
    auto object = file.object();
    bool can_poll = !object || object->kind() == ObjectKind::kMap;
    return can_poll ? Reply::native() : Reply::answer(-EPERM);
  }
  if (file.readable()) {
    system.files.signal(file);
  } else {
    system.files.drain(file);
  }
  return Reply::native();
}

}  // namespace bpfemu
