// SPDX-License-Identifier: Apache-2.0
// The text of /proc/PID/fdinfo/N of a carrier.
#pragma once

#include "emu/syscalls/path.h"

namespace bpfemu {

// ESRCH: the process is gone.
Result<std::string> fdinfo_text(const DescriptorPath& descriptor);

}  // namespace bpfemu
