// SPDX-License-Identifier: Apache-2.0
// Kernel functions that can be probed (decision 15): hooks, and what every system call comes by: the dispatcher, and the
// handlers __x64_sys_*, which emu/abi/syscalls.inc names.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "emu/hook/arguments.h"
#include "emu/hook/hook.h"

namespace bpfemu {

// The system call during which the dispatcher or a handler is called.
struct KernelCall {
  long number = 0;
  std::array<u64, 6> args{};
  u64 regs = 0;           // address of the thread's pt_regs, as the program will see it
  u64* scratch = nullptr;  // room for six words that arguments may point to
};

using ArgumentBuilder = void (*)(const KernelCall& call, Arguments& arguments);

// How far into the system call a function lies: the order in which kprobes on several of them fire.
enum class FunctionLevel : u8 {
  kDispatch,  // do_syscall_64, x64_sys_call
  kHandler,   // __x64_sys_openat
  kHook,      // do_sys_openat2: its path knows where
};

struct KernelFunction {
  std::string symbol;
  FunctionLevel level = FunctionLevel::kHandler;
  SyscallSet syscalls;
  ArgumentBuilder arguments = nullptr;        // of what is no hook
  StackPart caller = StackPart::kInCall;  // whose frames lie around it
  const HookRow* hook = nullptr;
};

// Null: when it is reached is not modelled. Handlers of calls that no 64-bit process makes are reached by no call.
const KernelFunction* find_kernel_function(std::string_view symbol);

}  // namespace bpfemu
