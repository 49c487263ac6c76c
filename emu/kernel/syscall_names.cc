// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/syscall_names.h"

#include <algorithm>
#include <initializer_list>

namespace bpfemu {

namespace {

constexpr SyscallName make(u32 number, const char* name, const char* entry, bool traced,
                           std::initializer_list<SyscallParameter> parameters) {
  SyscallName made{number, name, entry, static_cast<u8>(parameters.size()), traced, {}};
  std::copy(parameters.begin(), parameters.end(), made.parameters);
  return made;
}

constexpr SyscallName kNames[] = {
#define SYSCALL(number, name, entry, traced, ...) make(number, #name, #entry, traced, {__VA_ARGS__}),
#include "emu/abi/syscalls.inc"
#undef SYSCALL
};

}  // namespace

std::span<const SyscallName> syscall_names() {
  return kNames;
}

const SyscallName* syscall_name(long number) {
  auto it = std::lower_bound(std::begin(kNames), std::end(kNames), number,
                             [](const SyscallName& s, long wanted) { return static_cast<long>(s.number) < wanted; });
  return it != std::end(kNames) && static_cast<long>(it->number) == number ? it : nullptr;
}

const SyscallName* syscall_by_entry(std::string_view entry) {
  auto it = std::find_if(std::begin(kNames), std::end(kNames), [&](const SyscallName& s) { return s.entry == entry; });
  return it == std::end(kNames) ? nullptr : it;
}

}  // namespace bpfemu
