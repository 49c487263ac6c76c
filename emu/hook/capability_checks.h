// SPDX-License-Identifier: Apache-2.0
// What a call may do is asked of its task's capabilities on the way.
#pragma once

#include "emu/hook/transit.h"

namespace bpfemu {

// How it is asked; kernel: CAP_OPT_*.
enum class CapabilityOption : u8 { kNone = 0, kNoAudit = 2, kInSetId = 4 };

// kernel: security_capable for the caller in the initial user namespace. Has it the capability?
bool pass_capable(Transit& call, u32 capability, CapabilityOption option = CapabilityOption::kNone);

// kernel: create_user_ns asks with the credentials that the task will have.
void pass_new_user_namespace(Transit& call);

// What the call asks for itself, whatever else lies on its way (path_privileged.cc).
void pass_own_checks(Transit& call);

}  // namespace bpfemu
