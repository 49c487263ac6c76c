// SPDX-License-Identifier: Apache-2.0
// What a tool wants to attach and the model does not: named as its author would, for the line at the end of the run.
#pragma once

#include <string>
#include <string_view>

#include "emu/bpf/noticed.h"
#include "emu/syscalls/bpf.h"

namespace bpfemu {

// "fentry/do_unlinkat", "iter/task", "lsm/file_open", "freplace/handle", "cgroup_inet_ingress", "xdp".
std::string attachment_name(const Program& program, u32 attach_type);

// Notes that such an attachment is not modelled, unless it would not be noticed. `target` is where to, "" when the name
// says that.
void note_attachment(BpfCall& call, const Program& program, u32 attach_type, std::string_view target = {});

}  // namespace bpfemu
