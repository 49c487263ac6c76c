// SPDX-License-Identifier: Apache-2.0
// What nearly every file of that folder includes, precompiled (see emu/pch/base.h).

#include "emu/pch/base.h"
#include "emu/btf/btf.h"
#include "emu/kernel/object_space.h"
#include "emu/kernel/symbols.h"
