// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/iter_targets.h"

namespace bpfemu {

namespace {

constexpr std::string_view kPrefix = "bpf_iter_";

#define OBJECT(offset, structure)                  \
  IterArgument {                                   \
    offset, IterArgument::Kind::kObject, structure \
  }
#define KEY(offset)                  \
  IterArgument {                     \
    offset, IterArgument::Kind::kKey \
  }
#define VALUE(offset)                  \
  IterArgument {                       \
    offset, IterArgument::Kind::kValue \
  }
#define ITER_TARGET(name, major, minor, attach, features, note, ...) {#name, features, {__VA_ARGS__}},
constexpr IterTarget kTargets[] = {
#include "emu/abi/iter_targets.inc"
};
#undef OBJECT
#undef KEY
#undef VALUE

}  // namespace

const IterTarget* iter_target(std::string_view function) {
  if (!function.starts_with(kPrefix)) return nullptr;
  function.remove_prefix(kPrefix.size());
  for (const IterTarget& target : kTargets) {
    if (target.name == function) return &target;
  }
  return nullptr;
}

}  // namespace bpfemu
