// SPDX-License-Identifier: Apache-2.0
// A pinned map read as a file.
#pragma once

#include <string>

#include "emu/bpf/map_object.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// The text of a map in bpffs, as of now, through the BTF of its keys and values. EIO: a type or a map that cannot be shown
// (kernel: map_supports_seq_show); EFBIG: of more text than anybody wants to read at once, which the kernel would make.
Result<std::string> show_map(System& system, Task& task, MapObject& map);

}  // namespace bpfemu
