// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/helpers/memory.h"

#include <cerrno>

#include "emu/arena/layout.h"

namespace bpfemu {

namespace {

constexpr u64 kTaskSize = 0x7ffffffff000;  // TASK_SIZE_MAX
constexpr u64 kMaxStack = 256 << 10;       // of frames between a helper and who runs the program
constexpr u64 kVsyscallPage = 0xffffffffff600000;

u64 frame() {
  return reinterpret_cast<u64>(__builtin_frame_address(0));
}

// Who runs a program has the Run on its own stack, so the program's frames lie between ours and it.
bool on_stack(const Run* run, u64 address, u64 size) {
  u64 low = frame(), high = reinterpret_cast<u64>(run);
  bool same_stack = high > low && high - low < kMaxStack;
  return same_stack && address >= low && address < high && size <= high - address;
}

bool in_live_arena(const Run* run, u64 address, u64 size) {
  u64 end = run->env->arena_end;
  return address >= kArenaBase && address < end && size <= end - address;
}

// kernel: access_ok
bool is_user_range(u64 address, u64 size) {
  return address <= kTaskSize && size <= kTaskSize - address;
}

bool readable(const Run* run, u64 address, u64 size) {
  return in_live_arena(run, address, size) || on_stack(run, address, size);
}

// What a kernel address that cannot be read gives (kernel: copy_from_kernel_nofault_allowed): addresses of user space,
// of the vsyscall page and non-canonical ones are out of range, the others fault.
s64 refusal(u64 address) {
  if (in_arena(address, 0)) return -EFAULT;
  if (address < kTaskSize + kPageSize) return -ERANGE;
  if (address >= kVsyscallPage && address < kVsyscallPage + kPageSize) return -ERANGE;
  bool canonical = static_cast<u64>(static_cast<s64>(address << 16) >> 16) == address;
  return canonical ? -EFAULT : -ERANGE;
}

// Reads whatever lies on the stack, between other functions' variables.
__attribute__((no_sanitize_address)) void copy(void* to, u64 address, u64 size) {
  for (u64 i = 0; i < size; ++i) static_cast<volatile u8*>(to)[i] = reinterpret_cast<const volatile u8*>(address)[i];
}

}  // namespace

bool is_kernel_address(u64 address) {
  return address >= kTaskSize || in_arena(address, 0);
}

s64 read_kernel(const Run* run, void* to, u64 address, u64 size) {
  if (in_live_arena(run, address, size)) {
    if (run->env->object_read) run->env->object_read(run->env->self, address, size);
    __builtin_memcpy(to, reinterpret_cast<const void*>(address), size);
    return 0;
  }
  if (!on_stack(run, address, size)) {
    const bool in_image = static_cast<s64>(address) < 0 && run->env->at_kernel_address;
    if (const u64 known = in_image ? run->env->at_kernel_address(run->env->self, address, size) : 0) {
      __builtin_memcpy(to, reinterpret_cast<const void*>(known), size);
      return 0;
    }
    s64 error = refusal(address);
    return size == 0 && error == -EFAULT ? 0 : error;
  }
  copy(to, address, size);
  return 0;
}

s64 read_kernel_str(const Run* run, char* to, u64 address, u64 size) {
  if (size == 0) return 0;
  for (u64 i = 0; i < size; ++i) {
    if (!readable(run, address + i, 1)) return i == 0 ? refusal(address) : -EFAULT;
    copy(to + i, address + i, 1);
    if (to[i] == 0) return static_cast<s64>(i + 1);
  }
  to[size - 1] = 0;
  return static_cast<s64>(size);
}

s64 read_user(const Run* run, void* to, u64 address, u64 size) {
  if (!is_user_range(address, size)) return -EFAULT;
  return size == 0 ? 0 : run->env->read_user(run->env->self, to, address, size);
}

s64 copy_user(const Run* run, void* to, u64 address, u64 size) {
  if (!is_user_range(address, size)) return -EFAULT;
  return size == 0 ? 0 : run->env->copy_user(run->env->self, to, address, size);
}

s64 read_user_str(const Run* run, char* to, u64 address, u64 size) {
  if (size == 0) return 0;
  if (address >= kTaskSize) return -EFAULT;
  s64 length = run->env->read_user_str(run->env->self, to, address, size);
  if (length >= 0 && static_cast<u64>(length) >= size) {
    to[size - 1] = 0;
    return static_cast<s64>(size);
  }
  return length > 0 ? length + 1 : length;  // an empty string has the length 0
}

s64 read_any(const Run* run, void* to, u64 address, u64 size) {
  if (is_kernel_address(address)) return read_kernel(run, to, address, size);
  s64 r = read_user(run, to, address, size);
  return r < 0 && on_stack(run, address, size) ? read_kernel(run, to, address, size) : r;
}

s64 read_any_str(const Run* run, char* to, u64 address, u64 size) {
  if (is_kernel_address(address)) return read_kernel_str(run, to, address, size);
  s64 r = read_user_str(run, to, address, size);
  return r < 0 && on_stack(run, address, 1) ? read_kernel_str(run, to, address, size) : r;
}

}  // namespace bpfemu
