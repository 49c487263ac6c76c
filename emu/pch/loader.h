// SPDX-License-Identifier: Apache-2.0
// What nearly every file of that folder includes, precompiled (see emu/pch/base.h).

#include "emu/pch/base.h"
#include "loader/memory_worker.h"
#include "loader/patches.h"
#include "loader/process.h"
#include "loader/space_memory.h"
