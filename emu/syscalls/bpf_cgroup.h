// SPDX-License-Identifier: Apache-2.0
// Attaching to cgroups, with links and without. The callers have checked what does not depend on the target.
#pragma once

#include "emu/bpf/attach_types.h"
#include "emu/syscalls/bpf.h"

namespace bpfemu {

// The cgroup whose folder a descriptor is: EBADF; ENOENT when it is removed (kernel: cgroup_get_from_fd).
Result<std::shared_ptr<Cgroup>> cgroup_of_fd(System& system, Task& task, u32 fd);

Result<u64> link_cgroup(BpfCall& call, std::shared_ptr<Program> program);
Result<u64> attach_cgroup(BpfCall& call, std::shared_ptr<Program> program);
Result<u64> detach_cgroup(BpfCall& call, const AttachType& type);
Result<u64> query_cgroup(BpfCall& call);

// Programs are told, in the midst of one that runs, of what the cgroup whose struct is at `cgroup` and those below it have
// gathered (kernel: cgroup_rstat_flush).
void flush_cgroup_stats(System& system, Run& run, u64 cgroup);

}  // namespace bpfemu
