// SPDX-License-Identifier: Apache-2.0
// Every x86-64 system call of the claimed kernel, from emu/abi/syscalls.inc.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "emu/base/types.h"

namespace bpfemu {

struct SyscallParameter {
  const char* type;  // "const char *", as in the tracepoint's format
  const char* name;
};

struct SyscallName {
  u32 number;
  const char* name;   // "stat", as in <asm/unistd.h>
  const char* entry;  // "newstat", as in sys_enter_newstat and __x64_sys_newstat
  u8 parameter_count;
  bool traced;  // has sys_enter_* and sys_exit_* events
  SyscallParameter parameters[6];
};

std::span<const SyscallName> syscall_names();                 // by number
const SyscallName* syscall_name(long number);                 // null: no such call
const SyscallName* syscall_by_entry(std::string_view entry);  // the first with this entry

}  // namespace bpfemu
