// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/helpers/helpers.h"

#include <span>

#include "emu/runtime/passing.h"

namespace bpfemu {

namespace {

struct HelperLine {
  u32 id;
  HelperFn function;
  u8 needs;
};

constexpr HelperLine kHelpers[] = {
#define HELPER_FN(id, function, needs) {id, function, needs},
#define HELPER_JIT(id, needs) {id, nullptr, needs},
#include "emu/abi/helper_functions.inc"
};

constexpr HelperLine kNoHelper = {};

const HelperLine& helper_line(u32 id) {
  for (const HelperLine& line : kHelpers) {
    if (line.id == id) return line;
  }
  return kNoHelper;
}

struct NamedLine {
  std::string_view name;
  HelperFn function;
};

constexpr NamedLine kKfuncs[] = {
#define KFUNC(name, prog_types, flags, function) {#name, function},
#include "emu/abi/kfuncs.inc"
};
constexpr NamedLine kDestructors[] = {
#define KPTR_DESTRUCTOR(structure, function) {#structure, function},
#include "emu/abi/kfuncs.inc"
};

HelperFn find(std::span<const NamedLine> lines, std::string_view name) {
  for (const NamedLine& line : lines) {
    if (line.name == name) return line.function;
  }
  return nullptr;
}

}  // namespace

HelperFn helper_function(u32 id) {
  return helper_line(id).function;
}

u8 helper_needs(u32 id) {
  return helper_line(id).needs;
}

HelperFn kfunc_function(std::string_view name) {
  return find(kKfuncs, name);
}

HelperFn kptr_destructor(std::string_view structure) {
  return find(kDestructors, structure);
}

s32 runtime_function(std::string_view symbol) {
  static constexpr std::string_view kSymbols[] = {
#define BPF_FUNCTION(symbol) #symbol,
#include "emu/abi/bpf_functions.inc"
#undef BPF_FUNCTION
#define PROTO(variant, helper, symbol, ...) #symbol,
#include "emu/abi/helpers.inc"
#undef PROTO
  };
  static_assert(sizeof kSymbols / sizeof kSymbols[0] == static_cast<size_t>(RuntimeFunction::kCount));
  for (s32 n = 0; n < static_cast<s32>(RuntimeFunction::kCount); ++n)
    if (kSymbols[n] == symbol) return n;
  return -1;
}

u64 unmodelled_function(u64, u64, u64, u64, u64, Run*) {
  return 0;
}

}  // namespace bpfemu
