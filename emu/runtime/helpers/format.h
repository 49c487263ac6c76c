// SPDX-License-Identifier: Apache-2.0
// The kernel's printf for programs (kernel: bpf_bprintf_prepare, bstr_printf). Runtime code.
#pragma once

#include "emu/runtime/run.h"

namespace bpfemu {

inline constexpr u32 kMaxFormatArgs = 12;  // MAX_BPRINTF_VARARGS

// Formats into `to`, NUL-terminated and cut off at `size`. The length that the whole text has, or -errno: -EINVAL for
// a format that the kernel refuses or that wants more than `arg_count` arguments, -ENOSPC when the arguments' copies
// outgrow the kernel's buffer, -EBUSY when formatting is nested too deeply. `format` has `format_size` bytes at most.
s64 format_text(Run* run, char* to, u64 size, const char* format, u64 format_size, const u64* args, u32 arg_count);

}  // namespace bpfemu
