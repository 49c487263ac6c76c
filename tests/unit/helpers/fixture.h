// SPDX-License-Identifier: Apache-2.0
// Helpers called as programs call them, with an outside world that the test makes up.
#pragma once

#include <cstring>
#include <string>

#include "emu/runtime/helpers/helpers.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {

// The traced task's memory is one page at an address of its own.
inline constexpr u64 kUserPage = 0x10000;
// The only kernel symbol, of 0xd0 bytes.
inline constexpr u64 kSchedule = 0xffffffff81a00000;

struct HelperWorld : World {
  std::string user = std::string(kPageSize, '\xee');
  std::vector<std::string> traced, unmodelled;
  std::vector<u64> user_ips, kernel_ips;
  u32 signal = 0;
  bool to_group = false;
  u64 now[16] = {};

  HelperWorld() {
    env.self = this;
    env.read_user = [](void* self, void* to, u64 address, u64 size) -> s64 {
      HelperWorld& w = of(self);
      if (!w.mapped(address, size)) return -EFAULT;
      std::memcpy(to, w.user.data() + (address - kUserPage), size);
      return 0;
    };
    env.copy_user = env.read_user;
    env.read_user_str = [](void* self, char* to, u64 address, u64 size) -> s64 {
      HelperWorld& w = of(self);
      for (u64 i = 0; i < size; ++i) {
        if (!w.mapped(address + i, 1)) return -EFAULT;
        to[i] = w.user[address + i - kUserPage];
        if (!to[i]) return static_cast<s64>(i);
      }
      return static_cast<s64>(size);
    };
    env.write_user = [](void* self, u64 address, const void* from, u64 size) -> s64 {
      HelperWorld& w = of(self);
      if (!w.mapped(address, size)) return -EFAULT;
      std::memcpy(w.user.data() + (address - kUserPage), from, size);
      return 0;
    };
    env.clock = [](void* self, int id) { return of(self).now[id]; };
    env.trace_printk = [](void* self, Run*, const char* text, u64 size) { of(self).traced.emplace_back(text, size); };
    env.send_signal = [](void* self, u32 signal, bool to_group) -> s64 {
      of(self).signal = signal;
      of(self).to_group = to_group;
      return 0;
    };
    env.user_stack = [](void* self, Run*, u64* ips, u32 max) { return copy_ips(of(self).user_ips, ips, max); };
    env.kernel_stack = [](void* self, Run*, u64* ips, u32 max) { return copy_ips(of(self).kernel_ips, ips, max); };
    env.task_struct = [](void*, Run*) { return kArenaBase + 0x1000; };
    env.symbol_at = [](void*, u64 address, KernelSymbol* to) {
      if (address < kSchedule || address >= kSchedule + 0xd0) return false;
      *to = {.offset = address - kSchedule, .size = 0xd0, .length = 8, .name = "schedule"};
      return true;
    };
    env.missing = [](void* self, const char* what) { of(self).unmodelled.emplace_back(what); };
  }

  static HelperWorld& of(void* self) { return *static_cast<HelperWorld*>(self); }
  bool mapped(u64 address, u64 size) const { return address >= kUserPage && address + size <= kUserPage + kPageSize; }
  static s64 copy_ips(const std::vector<u64>& from, u64* to, u32 max) {
    u32 count = std::min<u32>(max, static_cast<u32>(from.size()));
    std::copy_n(from.begin(), count, to);
    return count;
  }

  // Puts a string at `offset` of the task's page and gives its address.
  u64 put_user(u64 offset, const char* text) {
    std::memcpy(user.data() + offset, text, std::strlen(text) + 1);
    return kUserPage + offset;
  }
  // Arena memory, for what the program calls kernel memory.
  u64 put_kernel(const void* data, u64 size) {
    auto extent = arena->allocate(size);
    REQUIRE(extent);
    std::memcpy(reinterpret_cast<void*>(extent->address), data, size);
    env.arena_end = arena->end();
    return extent->address;
  }

  template <class T>
  static u64 word(T value) {
    if constexpr (std::is_pointer_v<T>) {
      return reinterpret_cast<u64>(value);
    } else {
      return static_cast<u64>(value);
    }
  }
  template <class... Args>
  s64 call(u32 id, Args... args) {
    return call(helper_function(id), args...);
  }
  template <class... Args>
  s64 call(const char* kernel_function, Args... args) {
    return call(kfunc_function(kernel_function), args...);
  }
  template <class... Args>
  s64 call(HelperFn function, Args... args) {
    REQUIRE(function);
    u64 r[5] = {word(args)...};
    return static_cast<s64>(function(r[0], r[1], r[2], r[3], r[4], &run));
  }
};

}  // namespace bpfemu::test
