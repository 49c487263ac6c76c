// SPDX-License-Identifier: Apache-2.0
// The image as bpfemu has it.
#pragma once

#include <span>

#include "emu/runtime/inside/inside.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// Its bytes, which lie at kInsideImage.
std::span<const u8> image_bytes();
const InsideHead& image_head();
// A helper in it. Null: programs that call it are not run inside.
HelperFn image_helper(u32 id);

}  // namespace bpfemu
