// SPDX-License-Identifier: Apache-2.0
// The table of emu/abi/traced_syscalls.inc, for the loader's filters and for finding a handler.
#include <sys/syscall.h>

#include <algorithm>
#include <iterator>

#include "emu/ports/host.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/perf_file.h"
#include "emu/syscalls/poll.h"

namespace bpfemu {

namespace {

constexpr TracedSyscall kTable[] = {
#define SYSCALL(name, enter, exit, when, outer_denies, note) \
  {SYS_##name, #name, enter, exit, TraceWhen::when, outer_denies, note},
#include "emu/abi/traced_syscalls.inc"
#undef SYSCALL
};

// Index into the table by number, for the one look-up per stop.
constexpr auto kByNumber = [] {
  std::array<u8, kSyscallLimit> index{};
  for (size_t i = 0; i < std::size(kTable); ++i) index[static_cast<size_t>(kTable[i].number)] = static_cast<u8>(i + 1);
  return index;
}();

}  // namespace

std::span<const TracedSyscall> traced_syscalls() { return kTable; }

const SyscallSet& answered_calls() {
  static const SyscallSet set = [] {
    SyscallSet all;
    for (const TracedSyscall& call : kTable) all.set(static_cast<size_t>(call.number));
    return all;
  }();
  return set;
}

const SyscallSet& calls_of(TraceWhen when) {
  static const auto kSets = [] {
    std::array<SyscallSet, static_cast<size_t>(TraceWhen::kInside) + 1> sets;
    for (const TracedSyscall& call : kTable) {
      size_t number = call.when == TraceWhen::kReaders ? kSmallRead : static_cast<size_t>(call.number);
      sets[static_cast<size_t>(call.when)].set(number);
    }
    sets[static_cast<size_t>(TraceWhen::kStreams)].set(SYS_read);
    sets[static_cast<size_t>(TraceWhen::kObjects)].set(kBriefRead).set(kBriefWrite);
    return sets;
  }();
  return kSets[static_cast<size_t>(when)];
}

SyscallSet calls_at_start(const Root& root) {
  SyscallSet calls = calls_of(TraceWhen::kAlways);
  // The host's owners are shown as in a namespace, and credentials sent from one.
  if (root.answered()) calls |= SyscallSet(calls_of(TraceWhen::kAnsweredRoot)).set(SYS_fstat).set(SYS_sendmsg);
  if (root.lacks()) calls.set(SYS_capget);
  return calls;
}

const TracedSyscall* find_traced_syscall(long number) {
  if (number < 0 || static_cast<size_t>(number) >= kByNumber.size()) return nullptr;
  u8 index = kByNumber[static_cast<size_t>(number)];
  return index ? &kTable[index - 1] : nullptr;
}

}  // namespace bpfemu
