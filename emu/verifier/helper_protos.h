// SPDX-License-Identifier: Apache-2.0
// The prototypes of emu/abi/helpers.inc as objects, one a variant.
#pragma once

#include <span>

#include "emu/verifier/prog_env.h"

namespace bpfemu {

namespace protos {
#define PROTO(variant, helper, symbol, flags, result, ...) extern const HelperProto variant;
#include "emu/abi/helpers.inc"
}  // namespace protos

struct HelperEntry {
  u32 id;
  const char* name;
  u32 since;  // kernel_version() that it came with
};
// All helpers in the order of their ids, the first is id 1.
std::span<const HelperEntry> helper_entries();

}  // namespace bpfemu
