// SPDX-License-Identifier: Apache-2.0
// The content of a file as the kernel measures it (kernel: ima_calc_file_hash).
#pragma once

#include <array>

#include "emu/arena/arena.h"
#include "emu/kernel/object_space.h"
#include "emu/ports/task.h"

namespace bpfemu {

// SHA-256 of the file whose struct file is at `file`, which the task can reach by its name: EACCES, ENOENT, EINVAL.
Result<std::array<u8, 32>> file_hash(const Arena& arena, ObjectSpace& space, const Task& task, u64 file);

}  // namespace bpfemu
