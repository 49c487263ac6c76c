// SPDX-License-Identifier: Apache-2.0
// Numbers as the kernel reads them from text (kernel: lib/kstrtox.c): base 0 goes by the prefix, a plus and one newline
// at the end are let pass. EINVAL: no number, or more than one; ERANGE: too large.
#pragma once

#include <string_view>

#include "emu/base/result.h"

namespace bpfemu {

Result<u64> kstrtoul(std::string_view text, int base = 0);
Result<s64> kstrtol(std::string_view text, int base = 0);
// Takes the digits off the front of `text`; 0 without any, the largest number for what is larger (kernel:
// simple_strtoul, which wraps).
u64 simple_strtoul(std::string_view& text, int base = 0);

}  // namespace bpfemu
