// SPDX-License-Identifier: Apache-2.0
// What nearly every file of that folder includes, precompiled (see emu/pch/base.h).

#include "emu/pch/base.h"
#include "emu/iter/targets.h"
