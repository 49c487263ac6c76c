// SPDX-License-Identifier: Apache-2.0
// Errno values of the kernel that user space has no name for. Freestanding: usable in the runtime.
#pragma once

namespace bpfemu {

inline constexpr int ENOTSUPP = 524;

}  // namespace bpfemu
