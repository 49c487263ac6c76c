// SPDX-License-Identifier: Apache-2.0
// The parts of the tree, one file each. Each hangs its nodes into the tree; order does not matter.
#pragma once

#include "emu/vfs/vfs.h"

namespace bpfemu {

void place_tracefs(Vfs& vfs);  // and debugfs, which shows it too
void place_sysfs(Vfs& vfs);
void place_procfs(Vfs& vfs);
void place_bpffs(Vfs& vfs);
void place_boot(Vfs& vfs);

// The root of a new bpffs, or a folder within one.
std::shared_ptr<Directory> make_bpffs(u32 mode = 01777);

inline constexpr const char *kTracefsMount = "/sys/kernel/tracing", *kDebugfsMount = "/sys/kernel/debug",
                            *kBpffsMount = "/sys/fs/bpf";

}  // namespace bpfemu
