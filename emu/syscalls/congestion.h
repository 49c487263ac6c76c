// SPDX-License-Identifier: Apache-2.0
// TCP_CONGESTION with congestion controls that programs implement. All others are the host's.
#pragma once

#include <optional>

#include "emu/syscalls/call.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// Parts of calls that have other handlers as well; none: it is the host's to answer.
std::optional<Reply> set_congestion(System& system, Call& call);
std::optional<Reply> get_congestion(System& system, Call& call);
void accepted_congestion(System& system, Call& call, s64 connection);

}  // namespace bpfemu
