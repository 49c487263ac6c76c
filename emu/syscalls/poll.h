// SPDX-License-Identifier: Apache-2.0
// The calls that wait for descriptors, and epoll_ctl.
#pragma once

#include "emu/syscalls/call.h"

namespace bpfemu {

Reply enter_wait(System& system, Call& call);  // epoll_wait, epoll_pwait, epoll_pwait2, poll, ppoll, select, pselect6
Reply enter_epoll_ctl(System& system, Call& call);

}  // namespace bpfemu
