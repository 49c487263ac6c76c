// SPDX-License-Identifier: Apache-2.0
// A hook: a place in the claimed kernel that programs can be attached to, a function or a tracepoint. kprobe, kretprobe,
// fentry, fexit, tracepoint, raw tracepoint and tp_btf are ways to listen to one; what passes it does not know who
// listens. The rows are in emu/abi/hooks.inc.
#pragma once

#include <optional>
#include <string_view>

#include "emu/kernel/stacks.h"
#include "emu/ports/host.h"

namespace bpfemu {

enum class Hook : u16 {
#define FUNCTION(hook, ...) hook,
#define TRACEPOINT(system, name, ...) trace_##name,
#include "emu/abi/hooks.inc"
#undef FUNCTION
#undef TRACEPOINT
  kCount
};
inline constexpr size_t kHooks = static_cast<size_t>(Hook::kCount);

// When the model knows that a hook is passed.
enum class Reach : u8 {
  kBefore,  // from the arguments of a system call, before the host's kernel runs it
  kAfter,   // only when the host's kernel has run it
  kLife,    // when a task forks, executes, ends, is signalled: outside of the paths of calls
};

struct HookRow {
  std::string_view name;    // symbol, or the tracepoint's name
  std::string_view system;  // of a tracepoint; empty: a function
  Reach reach = Reach::kBefore;
  u32 arguments = 0;        // of a tracepoint, as raw programs get them
  StackPart place{};        // whose frames lie around it
  SyscallSet calls{};       // none: no path of a call comes by
  bool is_function() const { return system.empty(); }
  // Those of the calls that are to be known when the host's kernel has run them, too.
  SyscallSet exits() const;
};

const HookRow& row_of(Hook hook);
// Null: the model passes no such function, or tracepoint.
const HookRow* find_function_hook(std::string_view symbol);
const HookRow* find_tracepoint_hook(std::string_view name);
Hook hook_of(const HookRow& row);
// What runtime code passes (RuntimeFunction).
Hook hook_of_runtime(u32 function);

// Where at a hook one listens. Tracepoints have an entry alone; the two in between are passed when the function asks
// the security modules.
enum class Side : u8 {
  kEntry,
  kModify,  // fmod_ret: before the function itself, in its place when the answer is not 0
  kModule,  // bpf_lsm_*, which a security_* function calls after the other modules' hooks
  kReturn,
  kCount
};

// Does the hook's function ask the security modules, and is what they answer heeded?
bool is_asked(Hook hook);
// The hook within which the LSM hook of this name ("file_open") is called. None: not modelled.
std::optional<Hook> security_hook(std::string_view lsm);

}  // namespace bpfemu
