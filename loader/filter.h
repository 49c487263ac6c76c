// SPDX-License-Identifier: Apache-2.0
// Seccomp filters. The base filter is installed before exec and inherited by everything; wider ones are stacked on it
// when probes want more. Filters only ever get stricter.
//
// A call that nobody wants costs a binary search, or nothing where the kernel keeps its own bitmap of calls that a
// filter always allows; so conditions on arguments are used for rare calls only.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "emu/ports/host.h"

namespace bpfemu {

// Arguments of a getpid() that mean something to us. The pair is drawn at start, so that no tracee can guess it.
struct Secret {
  u64 first, second;
};

// getpid(kPresence) fails with kPresenceErrno below a bpfemu.
inline constexpr u64 kPresence = 0x62706665'6d753f21;
inline constexpr int kPresenceErrno = 130;  // EOWNERDEAD, which getpid never gives
// SECCOMP_RET_DATA of our SIGSYS, as si_errno shows it.
inline constexpr u16 kTrapTag = 0xbfe;
// The same of a call from 32-bit code, as PTRACE_GETEVENTMSG shows it.
inline constexpr u16 kCompatTag = 0x386;

inline constexpr u32 kNewUserfault = 0xaa00;  // USERFAULTFD_IOC_NEW, on /dev/userfaultfd

struct FilterSpec {
  SyscallSet trace;                // stop the thread for the tracer
  SyscallSet trap;                 // the same by SIGSYS, for calls that an outer filter denies
  bool base = false;               // the first filter: also the loader's own calls, other ABIs, those
                                   // that the claimed kernel has not got, the presence answer
  bool decided = false;            // calls with a path that a process decided by itself (decider.h) do not stop
  const Secret* secret = nullptr;  // getpid(secret) notifies the listener
};

std::vector<sock_filter> build_filter(const FilterSpec& spec);

// Calls that stop whatever their arguments. The base filter narrows some of them (mmap: only of files).
SyscallSet fully_traced(const FilterSpec& spec);
// Has the claimed kernel a call of this number? All others stop.
bool is_claimed_call(long number);
// Calls the loader itself must see, whatever the table says (all of them, or for some arguments only).
const SyscallSet& loader_syscalls();

}  // namespace bpfemu
