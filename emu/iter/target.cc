// SPDX-License-Identifier: Apache-2.0
#include "emu/iter/target.h"

#include <iterator>

#include "emu/iter/targets.h"

namespace bpfemu {

MakeSubject subject_of(const IterTarget& target) {
  struct Row {
    std::string_view name;
    MakeSubject make;
  };
  static constexpr Row kRows[] = {
#define ITER_TARGET(name, major, minor, attach, features, note, ...) {#name, attach},
#include "emu/abi/iter_targets.inc"
  };
  for (const Row& row : kRows) {
    if (row.name == target.name) return row.make;
  }
  return nullptr;
}

}  // namespace bpfemu
