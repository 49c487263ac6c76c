// SPDX-License-Identifier: Apache-2.0
// Kernel functions that a kprobe can hit (decision 15): which system calls reach them, and what is in their argument
// registers then. The rows are in emu/abi/kernel_functions.inc; __x64_sys_* come from emu/abi/syscalls.inc.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "emu/kernel/stacks.h"
#include "emu/ports/host.h"

namespace bpfemu {

// The system call during which the function is called.
struct KernelCall {
  Task* task = nullptr;
  long number = 0;
  std::array<u64, 6> args{};
  u64 regs = 0;           // address of the thread's pt_regs, as the program will see it
  u8* scratch = nullptr;  // kernel objects that arguments point to are built here
  size_t scratch_size = 0;
};

// rdi, rsi, rdx, rcx, r8, r9 at the function's entry. False: this call does not reach the function after all.
using ArgumentBuilder = bool (*)(const KernelCall& call, std::array<u64, 6>& arguments);

// How far into the system call a function lies: the order in which kprobes on several of them fire.
enum class FunctionLevel : u8 {
  kDispatch,  // do_syscall_64, x64_sys_call
  kHandler,   // __x64_sys_openat
  kInner,     // do_sys_openat2
};

struct KernelFunction {
  std::string symbol;
  FunctionLevel level = FunctionLevel::kHandler;
  SyscallSet syscalls;
  ArgumentBuilder arguments = nullptr;
  StackPart caller = StackPart::kInCall;  // whose frames lie around it
  bool returns_result = true;             // rax at its return is the system call's result
};

// Null: when it is reached is not modelled. Handlers of calls that no 64-bit process makes are reached by no call.
const KernelFunction* find_kernel_function(std::string_view symbol);

}  // namespace bpfemu
