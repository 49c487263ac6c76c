// SPDX-License-Identifier: Apache-2.0
// LINUX_VERSION_CODE arithmetic, for the `since` columns of the tables.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

constexpr u32 kernel_version(u32 major, u32 minor, u32 patch = 0) {
  return (major << 16) + (minor << 8) + (patch > 255 ? 255 : patch);
}

}  // namespace bpfemu
