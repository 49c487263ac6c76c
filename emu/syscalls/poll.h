// SPDX-License-Identifier: Apache-2.0
// The calls that wait for descriptors. Where an emulated file has something to report already, the call is answered
// with that; else the kernel waits, and carriers that are written to end the wait.
#pragma once

#include "emu/syscalls/call.h"
#include "emu/syscalls/files.h"

namespace bpfemu {

// Asks the file's poll operation (kernel: vfs_poll): EPOLLIN, ... What that takes away, its carriers no longer show.
u32 ask(System& system, File& file);

// poll.cc: poll and ppoll, select and pselect6. The exits take from perf events what was reported.
Reply enter_poll(System& system, Call& call);
s64 exit_poll(System& system, Call& call, s64 result);
Reply enter_select(System& system, Call& call);
s64 exit_select(System& system, Call& call, s64 result);

// epoll.cc: epoll_ctl; epoll_wait, epoll_pwait and epoll_pwait2.
Reply enter_epoll_ctl(System& system, Call& call);
Reply enter_epoll_wait(System& system, Call& call);
s64 exit_epoll_wait(System& system, Call& call, s64 result);

}  // namespace bpfemu
