// SPDX-License-Identifier: Apache-2.0
// What execve maps: the program, its interpreter and the vDSO, told when it is done, in the kernel's order (kernel:
// load_elf_binary).
#pragma once

#include "emu/hook/occasion.h"

namespace bpfemu {

void pass_exec_mappings(Occasion& occasion);

}  // namespace bpfemu
