// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/functions.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>
#include <new>

#include "emu/kernel/syscall_names.h"

namespace bpfemu {

namespace {

using Arguments = std::array<u64, 6>;

// The kernel's own O_LARGEFILE; user space's is 0 on x86-64.
constexpr u64 kLargeFile = 0100000;
constexpr u64 kPathFlags = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
constexpr u64 kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |
                           O_ASYNC | O_DIRECT | kLargeFile | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |
                           O_TMPFILE;
constexpr u64 kTmpFileBit = O_TMPFILE & ~O_DIRECTORY;
constexpr u64 kPageBytes = 4096;

// An object behind an argument, in the call's scratch memory.
template <class T>
T* place(const KernelCall& call, const T& value) {
  if (call.scratch_size < sizeof(T)) return nullptr;
  return new (call.scratch) T(value);
}

// do_syscall_64(struct pt_regs *regs, int nr) and x64_sys_call(const struct pt_regs *regs, unsigned int nr).
bool regs_and_number(const KernelCall& call, Arguments& arguments) {
  arguments = {call.regs, static_cast<u64>(call.number)};
  return true;
}

// DragonOS: handle(number, args: &[usize], frame) -> Result<usize>, whose result is returned through rdi.
bool dragonos_handle(const KernelCall& call, Arguments& arguments) {
  auto* args = place(call, call.args);
  arguments = {0, static_cast<u64>(call.number), reinterpret_cast<u64>(args), call.args.size(), call.regs};
  return args != nullptr;
}

// Handlers take the thread's pt_regs: the SYSCALL_WRAPPER convention.
bool only_regs(const KernelCall& call, Arguments& arguments) {
  arguments = {call.regs};
  return true;
}

bool same_arguments(const KernelCall& call, Arguments& arguments) {
  arguments = call.args;
  return true;
}

// kernel: build_open_how.
open_how how_of(u64 flags, u64 mode) {
  open_how how{};
  how.flags = flags & kOpenFlags;
  how.mode = mode & 07777;
  if (how.flags & O_PATH) how.flags &= kPathFlags;
  if (!(how.flags & (O_CREAT | kTmpFileBit))) how.mode = 0;
  return how;
}

// kernel: copy_struct_from_user. What the kernel does not know must be zero.
bool read_how(Task& task, u64 address, u64 size, struct open_how& how) {
  if (size < sizeof how || size > kPageBytes) return false;
  std::array<u8, kPageBytes> given;
  if (!task.read(address, given.data(), size)) return false;
  memcpy(&how, given.data(), sizeof how);
  return std::all_of(given.begin() + sizeof how, given.begin() + static_cast<long>(size), [](u8 b) { return b == 0; });
}

// do_sys_openat2(int dfd, const char __user *filename, struct open_how *how), as each of the four calls makes it.
bool open_how(const KernelCall& call, Arguments& arguments) {
  const auto& a = call.args;
  u64 here = static_cast<u64>(AT_FDCWD);
  u64 dfd = here, name = a[0];
  struct open_how how;
  switch (call.number) {
    case SYS_open: how = how_of(a[1] | kLargeFile, a[2]); break;
    case SYS_creat: how = how_of(O_CREAT | O_WRONLY | O_TRUNC | kLargeFile, a[1]); break;
    case SYS_openat:
      dfd = a[0];
      name = a[1];
      how = how_of(a[2] | kLargeFile, a[3]);
      break;
    default:  // openat2 looks at its struct first, and goes no further when that is wrong
      dfd = a[0];
      name = a[1];
      if (!call.task || !read_how(*call.task, a[2], a[3], how)) return false;
      if (!(how.flags & O_PATH)) how.flags |= kLargeFile;
  }
  auto* placed = place(call, how);
  arguments = {dfd, name, reinterpret_cast<u64>(placed)};
  return placed != nullptr;
}

// ksys_mmap_pgoff takes the offset in pages; mmap(2) refuses others first.
bool mmap_pages(const KernelCall& call, Arguments& arguments) {
  arguments = call.args;
  arguments[5] = call.args[5] / kPageBytes;
  return call.args[5] % kPageBytes == 0;
}

SyscallSet set_of(std::initializer_list<long> numbers) {
  SyscallSet set;
  for (long number : numbers) set.set(static_cast<size_t>(number));
  if (numbers.size() == 0) set.set();
  return set;
}

using Functions = std::map<std::string, KernelFunction, std::less<>>;

Functions all_functions() {
  Functions functions;
  for (const SyscallName& call : syscall_names()) {
    std::string symbol = std::string("__x64_sys_") + call.entry;
    KernelFunction& function = functions[symbol];
    function.symbol = symbol;
    function.arguments = only_regs;
    function.syscalls.set(call.number);
  }
#define KERNEL_FUNCTION(symbol, level, arguments, caller, ...) \
  functions[symbol] = {symbol, FunctionLevel::level, set_of({__VA_ARGS__}), arguments, StackPart::caller};
#include "emu/abi/kernel_functions.inc"
#undef KERNEL_FUNCTION
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
