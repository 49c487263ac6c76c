// SPDX-License-Identifier: Apache-2.0
// The types of the kernel that runs, by name.
#pragma once

#include <string>

#include "emu/base/types.h"

namespace bpfemu::fuzz {

// The id in /sys/kernel/btf/vmlinux of a type of this name and BTF_KIND_*; 0: there is none.
u32 kernel_type(const std::string& name, u32 kind);

}  // namespace bpfemu::fuzz
