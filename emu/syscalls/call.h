// SPDX-License-Identifier: Apache-2.0
// A system call of a traced thread that stopped for us, and what a handler can say about it. One line in
// emu/abi/traced_syscalls.inc binds a call to its handler.
#pragma once

#include <array>
#include <span>

#include "emu/ports/host.h"
#include "emu/ports/root.h"
#include "emu/ports/task.h"

namespace bpfemu {

class System;

struct Call {
  Task& task;
  long number;
  std::array<u64, 6> args;
};

// What becomes of the call.
struct Reply {
  enum class Kind {
    kNative,        // the kernel runs it as it is (or with the arguments that the handler changed in `args`)
    kNativeThenExit,  // the same, and the exit handler sees its result
    kAnswered,      // it never reaches the kernel; `value` is its result
  };
  Kind kind = Kind::kNative;
  s64 value = 0;
  bool args_changed = false;

  static Reply native() { return {}; }
  static Reply native_then_exit() { return {Kind::kNativeThenExit, 0, false}; }
  static Reply rewritten() { return {Kind::kNative, 0, true}; }
  static Reply answer(s64 value) { return {Kind::kAnswered, value, false}; }
  static Reply answer(const Result<u64>& r) { return answer(as_return(r)); }
  static Reply answer(const Result<void>& r) { return answer(as_return(r)); }
};

// At entry.
using EnterHandler = Reply (*)(System& system, Call& call);
// At exit of a call that said kNativeThenExit: sees the kernel's result and may replace it.
using ExitHandler = s64 (*)(System& system, Call& call, s64 result);

// When a call must stop even though no probe wants it.
enum class TraceWhen : u8 {
  kAlways,          // bpf, perf_event_open, calls that carry a path
  kRings,           // only in thread groups that hold a pollable carrier: the poll family
  kHolders,         // only in processes that were given a carrier: calls on descriptors
  kNarrowed,        // for some arguments only (loader/filter.cc): socket, setsockopt, setrlimit, prlimit64
  kNetlink,         // only in processes that may change network devices (rtnetlink.h): sendto, sendmsg
  kReaders,         // only in processes that hold a file that is_read(), and reads of a page at most: read
  kStreams,         // only in processes that hold an iterator: all of read, and readv
  kObjects,         // only in processes that hold an object of bpf(), and a few bytes from a descriptor above 2: read, write
  kOpeners,         // only in processes that opened a synthetic file: what asks for or changes what a descriptor is
  kWriters,         // only in processes that opened a synthetic file for writing: write, pwrite64, writev
  kAnsweredRoot,    // only where the host cannot make tools root (RootWay::kAnswered): who they are
  kPeers,           // the same, and only in processes that ask who sends to them (socket_ids.h): recvmsg
  kCgroups,         // only when programs of cgroups are attached, or in processes of a cgroup (cgroup_calls.h): sockets
  kInside,          // only in processes that entered a synthetic folder: getcwd
};

struct TracedSyscall {
  long number;
  const char* name;
  EnterHandler enter;
  ExitHandler exit;            // null: never needs an exit stop
  TraceWhen when;
  bool outer_denies;           // Docker's default profile answers it with an error: use RET_TRAP there
  const char* note;            // for docs/support.md
};

// The table, in the order of emu/abi/traced_syscalls.inc. The loader builds its filters from it.
std::span<const TracedSyscall> traced_syscalls();
// All numbers in it.
const SyscallSet& answered_calls();
// Those of one kind.
const SyscallSet& calls_of(TraceWhen when);
// Those that stop in every process from the beginning.
SyscallSet calls_at_start(const Root& root);
// Null when the call is not in the table.
const TracedSyscall* find_traced_syscall(long number);

}  // namespace bpfemu
