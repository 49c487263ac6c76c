// SPDX-License-Identifier: Apache-2.0
// Ids in what Unix sockets tell of those at their ends, where ids are answered.
#pragma once

#include "emu/syscalls/call.h"

namespace bpfemu {

// The task wants to know who sends to it (SO_PASSCRED): its process stops at what receives.
void watch_peers(System& system, Task& task);
// sendmsg: the host's ids in the place of the shown ones.
Reply send_credentials(System& system, Call& call);

}  // namespace bpfemu
