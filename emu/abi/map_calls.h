// SPDX-License-Identifier: Apache-2.0
// The functions of maps that calls of helpers become: map_calls.inc.
#pragma once

#include <linux/bpf.h>

#include <optional>

#include "emu/base/types.h"

namespace bpfemu {

enum class MapCall : u8 {
#define MAP_CALL(helper, call, result) call,
#include "emu/abi/map_calls.inc"
#undef MAP_CALL
  kCount
};

// Which of a map's functions a helper calls; none: it calls none.
constexpr std::optional<MapCall> map_call(s32 helper) {
  switch (helper) {
#define MAP_CALL(helper, call, result) \
  case BPF_FUNC_##helper: return MapCall::call;
#include "emu/abi/map_calls.inc"
#undef MAP_CALL
    default: return std::nullopt;
  }
}

// Up to 6.3 most of them return int: of an error a program that calls them directly sees 32 bits.
constexpr bool returns_int(MapCall call) {
  enum Result : u8 { kPointer, kInt };
  constexpr Result kResults[] = {
#define MAP_CALL(helper, call, result) result,
#include "emu/abi/map_calls.inc"
#undef MAP_CALL
  };
  return kResults[static_cast<u8>(call)] == kInt;
}

}  // namespace bpfemu
