// SPDX-License-Identifier: Apache-2.0
#include "loader/clone_args.h"

#include <signal.h>

#include <algorithm>
#include <cstring>

namespace bpfemu {

namespace {

constexpr size_t kFirstVersion = 64;  // CLONE_ARGS_SIZE_VER0
// What both calls know. The others share their bits with the signal of clone(), or it ignores them.
constexpr u64 kCommon = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PIDFD | CLONE_PTRACE | CLONE_VFORK |
                        CLONE_PARENT | CLONE_THREAD | CLONE_NEWNS | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                        CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_IO;

}  // namespace

std::optional<std::array<u64, 6>> as_clone(const std::vector<u8>& bytes) {
  clone_args args = {};
  if (bytes.size() < kFirstVersion) return {};
  const size_t known = std::min(bytes.size(), sizeof args);
  std::memcpy(&args, bytes.data(), known);
  if (std::any_of(bytes.begin() + static_cast<ptrdiff_t>(known), bytes.end(), [](u8 byte) { return byte != 0; }))
    return {};
  const u64 flags = args.flags & ~u64{CLONE_UNTRACED};
  // Both results would go through one register of clone().
  const bool two_results = (flags & CLONE_PIDFD) && (flags & CLONE_PARENT_SETTID);
  const bool odd_signal =
      args.exit_signal >= NSIG || (args.exit_signal != 0 && (flags & (CLONE_THREAD | CLONE_PARENT)));
  const bool odd_stack = (args.stack == 0) != (args.stack_size == 0) || args.stack + args.stack_size < args.stack;
  if ((flags & ~kCommon) || two_results || odd_signal || odd_stack || args.set_tid || args.set_tid_size) return {};
  const u64 result_at = flags & CLONE_PIDFD ? args.pidfd : args.parent_tid;
  return std::array<u64, 6>{flags | args.exit_signal, args.stack + args.stack_size, result_at, args.child_tid, args.tls, 0};
}

}  // namespace bpfemu
