// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>

#include "emu/base/types.h"

namespace bpfemu {

// A load from a struct of the kernel's BTF, `size` bytes at `offset`.
struct FieldRead {
  u32 type, offset, size;
  auto operator<=>(const FieldRead&) const = default;
};

}  // namespace bpfemu
