// SPDX-License-Identifier: Apache-2.0
// What becomes of a signal, from what /proc shows of its target (kernel: prepare_signal, sig_ignored, legacy_queue).
// The tracer itself keeps every signal from being ignored; here the target counts as untraced.
#pragma once

#include "loader/proc_files.h"

namespace bpfemu {

// TRACE_SIGNAL_* of the kernel.
inline constexpr int kSignalDelivered = 0, kSignalIgnored = 1, kSignalPending = 2;

inline bool has(u64 set, int signal) {
  return set >> (signal - 1) & 1;
}

// Is it one of the signals that an exception forces on a thread?
bool is_fault(int signal);

// Does the signal end the process as soon as it is sent?
bool ends_process(const SignalFacts& target, int signal);

// By default, does it leave a core behind?
bool dumps_core(int signal);

// What happens to a signal sent to thread `tid`, or to its process.
int signal_outcome(const SignalFacts& target, int signal, bool group);

}  // namespace bpfemu
