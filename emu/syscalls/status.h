// SPDX-License-Identifier: Apache-2.0
// /proc/PID/status of a supervised process, which shows the root that tools are told to be.
#pragma once

#include <optional>
#include <string>

#include "emu/syscalls/system.h"

namespace bpfemu {

// The text for an absolute path; none when it is another file, another process, or where the host's own is right.
std::optional<std::string> status_text(System& system, const std::string& path);

}  // namespace bpfemu
