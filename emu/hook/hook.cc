// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/hook.h"

#include "emu/hook/sleeping_calls.h"
#include "emu/runtime/passing.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <initializer_list>
#include <unordered_map>

namespace bpfemu {

namespace {

SyscallSet set_of(std::initializer_list<long> numbers) {
  SyscallSet set;
  for (long number : numbers) set.set(static_cast<size_t>(number));
  return set;
}

using Rows = std::array<HookRow, kHooks>;

const Rows& rows() {
  static const Rows all = {{
#define FUNCTION(hook, symbol, when, caller, ...) \
  {symbol, {}, Reach::when, 0, StackPart::caller, set_of({__VA_ARGS__})},
#define TRACEPOINT(system, name, when, arguments, place, ...) \
  {#name, #system, Reach::when, arguments, StackPart::place, set_of({__VA_ARGS__})},
#include "emu/abi/hooks.inc"
#undef FUNCTION
#undef TRACEPOINT
  }};
  return all;
}

// Functions and tracepoints may have the same name.
struct Names {
  std::unordered_map<std::string_view, const HookRow*> functions, tracepoints;
};

const Names& names() {
  static const Names all = [] {
    Names made;
    for (const HookRow& row : rows()) (row.is_function() ? made.functions : made.tracepoints).emplace(row.name, &row);
    return made;
  }();
  return all;
}

const HookRow* find_in(const std::unordered_map<std::string_view, const HookRow*>& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : found->second;
}

}  // namespace

// What these have moved says how often they came by, and shmat where.
SyscallSet HookRow::exits() const {
  static const SyscallSet kMoving = set_of({SYS_sendfile, SYS_splice, SYS_copy_file_range, SYS_shmat});
  return reach == Reach::kAfter ? calls : calls & kMoving;
}

const HookRow& row_of(Hook hook) { return rows()[static_cast<size_t>(hook)]; }

const HookRow* find_function_hook(std::string_view symbol) { return find_in(names().functions, symbol); }

const HookRow* find_tracepoint_hook(std::string_view name) { return find_in(names().tracepoints, name); }

bool is_asked(Hook hook) {
  static const std::bitset<kHooks> kAsked = [] {
    std::bitset<kHooks> asked;
#define LSM_HOOK(name, hook) asked.set(static_cast<size_t>(Hook::hook));
#include "emu/abi/lsm_hooks.inc"
#undef LSM_HOOK
    return asked;
  }();
  return kAsked[static_cast<size_t>(hook)];
}

std::optional<Hook> security_hook(std::string_view lsm) {
  static const std::unordered_map<std::string_view, Hook> kHooksOf = {
#define LSM_HOOK(name, hook) {#name, Hook::hook},
#include "emu/abi/lsm_hooks.inc"
#undef LSM_HOOK
  };
  const auto found = kHooksOf.find(lsm);
  return found == kHooksOf.end() ? std::nullopt : std::optional<Hook>(found->second);
}

Hook hook_of_runtime(u32 function) {
  constexpr size_t kFirst = kHooks - static_cast<size_t>(RuntimeFunction::kCount);
  static_assert(static_cast<size_t>(Hook::__htab_map_lookup_elem) == kFirst);
  return static_cast<Hook>(kFirst + function);
}

Hook hook_of(const HookRow& row) { return static_cast<Hook>(&row - rows().data()); }

}  // namespace bpfemu
