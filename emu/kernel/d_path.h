// SPDX-License-Identifier: Apache-2.0
// The text of a struct path, walked as the kernel walks it (kernel: d_path): from the dentry up to its mount's root, on from
// where that is mounted, up to the first mount.
#pragma once

#include "emu/arena/arena.h"
#include "emu/kernel/object_space.h"

namespace bpfemu {

// What lies at `path` in the arena. EFAULT: it leads out of the model's objects; ENAMETOOLONG: beyond PATH_MAX.
Result<std::string> d_path(const Arena& arena, ObjectSpace& space, u64 path);

}  // namespace bpfemu
