// SPDX-License-Identifier: Apache-2.0
// What running programs reach outside of the arena, by the functions of Env.
#pragma once

#include "emu/probe/runner.h"

namespace bpfemu {

// `scope` is their `self`, and must outlive them.
Env run_services(RunScope& scope);

}  // namespace bpfemu
