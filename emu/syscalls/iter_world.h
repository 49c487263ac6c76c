// SPDX-License-Identifier: Apache-2.0
// What iterators ask of this model.
#pragma once

#include <memory>

#include "emu/iter/world.h"

namespace bpfemu {

class System;

// `system` has its probes, and outlives what it gets.
std::unique_ptr<IterWorld> make_iter_world(System& system);

}  // namespace bpfemu
