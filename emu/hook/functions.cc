// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/functions.h"

#include <algorithm>
#include <map>

#include "emu/kernel/syscall_names.h"

namespace bpfemu {

namespace {

// do_syscall_64(struct pt_regs *regs, int nr) and x64_sys_call(const struct pt_regs *regs, unsigned int nr).
void regs_and_number(const KernelCall& call, Arguments& arguments) {
  arguments[0] = call.regs;
  arguments[1] = static_cast<u64>(call.number);
}

// DragonOS: handle(number, args: &[usize], frame) -> Result<usize>, whose result is returned through rdi.
void dragonos_handle(const KernelCall& call, Arguments& arguments) {
  std::ranges::copy(call.args, call.scratch);
  arguments[1] = static_cast<u64>(call.number);
  arguments[2] = reinterpret_cast<u64>(call.scratch);
  arguments[3] = call.args.size();
  arguments[4] = call.regs;
}

// Handlers take the thread's pt_regs: the SYSCALL_WRAPPER convention.
void only_regs(const KernelCall& call, Arguments& arguments) { arguments[0] = call.regs; }

using Functions = std::map<std::string, KernelFunction, std::less<>>;

// Every system call comes by these, or every one with a number below NR_syscalls.
struct Dispatcher {
  const char* symbol;
  ArgumentBuilder arguments;
  StackPart caller;
  bool only_numbered;
};
constexpr Dispatcher kDispatchers[] = {
    {"do_syscall_64", regs_and_number, StackPart::kDispatched, false},
    {"x64_sys_call", regs_and_number, StackPart::kInCall, true},
    {"dragonos_kernel::syscall::Syscall::handle", dragonos_handle, StackPart::kInCall, false},
};

SyscallSet calls_by(const Dispatcher& dispatcher) {
  SyscallSet calls;
  if (!dispatcher.only_numbered) return calls.set();
  for (size_t number = 0; number <= syscall_names().back().number; ++number) calls.set(number);
  return calls;
}

void add_hook(Functions& functions, Hook hook) {
  const HookRow& row = row_of(hook);
  const std::string symbol(row.name);
  functions.try_emplace(symbol, KernelFunction{symbol, FunctionLevel::kHook, row.calls, nullptr, row.place, &row});
}

Functions all_functions() {
  Functions functions;
  for (const SyscallName& call : syscall_names()) {
    std::string symbol = std::string("__x64_sys_") + call.entry;
    KernelFunction& function = functions[symbol];
    function.symbol = symbol;
    function.arguments = only_regs;
    function.syscalls.set(call.number);
  }
  for (const Dispatcher& row : kDispatchers)
    functions[row.symbol] = {row.symbol, FunctionLevel::kDispatch, calls_by(row), row.arguments, row.caller};
#define FUNCTION(hook, symbol, ...) add_hook(functions, Hook::hook);
#define TRACEPOINT(...)
#include "emu/abi/hooks.inc"
#undef FUNCTION
#undef TRACEPOINT
  return functions;
}

// Handlers that no system call of a 64-bit process reaches: old ones ("__x64_sys_stat"), and those of 32-bit calls.
bool is_handler(std::string_view symbol) {
  return symbol.starts_with("__x64_sys_") || symbol.starts_with("__ia32_sys_") ||
         symbol.starts_with("__ia32_compat_sys_");
}

}  // namespace

const KernelFunction* find_kernel_function(std::string_view symbol) {
  static const Functions kFunctions = all_functions();
  static const KernelFunction kUnreached{.symbol = {}, .syscalls = {}, .arguments = only_regs};
  if (auto it = kFunctions.find(symbol); it != kFunctions.end()) return &it->second;
  return is_handler(symbol) ? &kUnreached : nullptr;
}

}  // namespace bpfemu
