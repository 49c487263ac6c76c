// SPDX-License-Identifier: Apache-2.0
// struct linux_binprm: what execve holds while it replaces a program.
#pragma once

#include <string_view>

#include "emu/hook/open_file.h"

namespace bpfemu {

struct BinprmFacts {
  std::string_view filename, interpreter;
  const FileFacts* file = nullptr;  // the program, or the interpreter that a script names
  std::string_view head = {};       // the file's first bytes
  u32 arguments = 0, variables = 0;
  bool secure = false;      // a program wants it so (kernel: bpf_bprm_opts_set)
  bool has_memory = false;  // the task's own address space is the new program's already
};

// It lasts as long as the occasion. 0: there is no room.
u64 place_binprm(Occasion& on, const BinprmFacts& facts);

// Of a struct linux_binprm at `address`: does the new program run as if it had more rights than who started it?
void set_secure(const KernelStruct& type, u64 address, bool secure);
bool is_secure(const Occasion& on, u64 address);

// A pointer that is a member of a struct of the task's ("mm" of task_struct); 0: unknown.
u64 task_member(Occasion& on, std::string_view member);

}  // namespace bpfemu
