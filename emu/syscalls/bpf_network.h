// SPDX-License-Identifier: Apache-2.0
// Attaching to network devices and network namespaces. The callers have checked what does not depend on the target.
#pragma once

#include <vector>

#include "emu/bpf/attach_types.h"
#include "emu/syscalls/bpf.h"

namespace bpfemu {

// Attaches XDP programs to a device of the task's network. No packet passes them, which is noted; so is what the device's
// driver would say where that is not modelled (EOPNOTSUPP).
XdpResult attach_xdp(System& system, Task& task, u32 device, const XdpAttach& attach);

Result<u64> link_xdp(BpfCall& call, std::shared_ptr<Program> program);
Result<u64> link_netns(BpfCall& call, std::shared_ptr<Program> program);
Result<u64> attach_netns(BpfCall& call, std::shared_ptr<Program> program);
Result<u64> detach_netns(BpfCall& call, const AttachType& type);
Result<u64> query_netns(BpfCall& call);

// What BPF_PROG_QUERY answers: how many programs there are, and the ids of those for which there is room (ENOSPC: not for
// all of them).
Result<u64> put_queried(BpfCall& call, std::vector<u32> ids);

}  // namespace bpfemu
