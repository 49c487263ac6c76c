// SPDX-License-Identifier: Apache-2.0
// Format strings of bpf_snprintf, as far as they can be checked before running (kernel: bpf_bprintf_prepare).
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

// Is `format` (with its NUL) one that takes at most `args` arguments?
bool is_valid_format(const char* format, u64 args);

}  // namespace bpfemu
