// SPDX-License-Identifier: Apache-2.0
// The kernel's stack at an event, as the claimed kernel's unwinder would find it (kernel: perf_callchain_kernel).
#pragma once

#include "emu/kernel/stacks.h"
#include "emu/hook/event.h"
#include "emu/probe/point.h"

namespace bpfemu {

// Appends the frames; none where the program is given user registers. False: how the claimed kernel comes here was not
// recorded.
bool kernel_frames(const Point& point, const Event& event, KernelFrames& frames);

}  // namespace bpfemu
