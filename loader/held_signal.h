// SPDX-License-Identifier: Apache-2.0
// A signal that arrives while a thread is about to run the instruction of a breakpoint out of line waits until that has
// run, as in the kernel (uprobe_deny_signal): its handler sees the thread behind the instruction, wherever the program
// goes on from there.
#pragma once

#include "loader/event.h"
#include "loader/task.h"

namespace bpfemu {

// At the signal's stop: the thread steps, and the signal is held until its next stop.
void hold_signal(TracedTask& task);
// The same while it runs programs by itself, or has run them and not made its call: it is held until the call has begun.
void hold_signal_until_call(TracedTask& task);
// At that stop, whatever it is: the program's signal mask is put back. Gives the held signal when the stop is the
// step's, to be delivered in its stead. It is sent again, and comes by a stop of its own, when something came first
// (0), or when the step's stop was needed for something else (-1).
int release_signal(TracedTask& task, const StopEvent& event);

}  // namespace bpfemu
