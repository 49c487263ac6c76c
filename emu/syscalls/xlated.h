// SPDX-License-Identifier: Apache-2.0
// The instructions of a program as BPF_OBJ_GET_INFO_BY_FD shows them (kernel: bpf_insn_prepare_dump).
#pragma once

#include <functional>
#include <string_view>

#include "emu/bpf/program.h"

namespace bpfemu {

// `ksym`: addresses of kernel symbols, for the distances that helper calls show.
Insns xlated(const Program& program, const std::function<u64(std::string_view)>& ksym);

}  // namespace bpfemu
