// SPDX-License-Identifier: Apache-2.0
// SIGTRAP and SIGSYS that our own traps force onto a thread. A forced signal that is blocked or ignored loses its
// handler and is unblocked for good (kernel: force_sig_info_to_task), so the program's choice is shadowed and put back.
#pragma once

#include "loader/proc_files.h"
#include "loader/task.h"

namespace bpfemu {

// rt_sigaction(SIGTRAP or SIGSYS) is about to run.
void shadow_sigaction(TracedTask& task, const std::array<u64, 6>& args);
// Handlers are gone with exec, ignored signals stay ignored.
void shadow_exec(Process& process);
// The thread is at the stop of a forced signal that it will not get.
void restore_forced(TracedTask& task, int signal);

// Calls that fail with EINTR after a stop that brought no handler: the kernel restarts the others by itself. When the
// thread, at such a stop, has just been interrupted in one of them, makes it run again. kShortened: `asleep_ns` of its
// timeout are over already, and the register that holds it differs from the program's.
enum class Restart : u8 { kNo, kYes, kShortened };
Restart restart_interrupted(TracedTask& task, u64 asleep_ns);
// Did the call move `result` bytes and would it, uninterrupted, have gone on to move more?
bool is_partial(TracedTask& task, s64 result);
// Its arguments for the rest, after `moved` bytes.
void continue_transfer(TracedTask& task, s64 moved);
// Would the kernel drop this signal if nobody traced the thread?
bool is_ignored(TracedTask& task, int signal);
// Signals that the kernel drops unless somebody traces the thread.
u64 without_effect(const SignalFacts& facts);
// Has the thread a signal that it will take now?
bool has_signal(TracedTask& task);
// Is one of them neither ignored nor without effect, so that a call that asks (kernel: signal_pending) ends with EINTR?
bool is_interrupted(TracedTask& task);
// rax of a call that will be restarted.
bool is_restart(s64 result);

}  // namespace bpfemu
