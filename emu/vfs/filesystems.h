// SPDX-License-Identifier: Apache-2.0
// The parts of the tree, one file each. Each hangs its nodes into the tree; order does not matter.
#pragma once

#include "emu/vfs/vfs.h"

namespace bpfemu {

void place_tracefs(Vfs& vfs);
void place_debugfs(Vfs& vfs);
void place_sysfs(Vfs& vfs);
void place_procfs(Vfs& vfs);
void place_bpffs(Vfs& vfs);
void place_boot(Vfs& vfs);

// The root of a new bpffs, tracefs or debugfs. A folder within a bpffs is like its root.
std::shared_ptr<Directory> make_bpffs(u32 mode = 01777);
std::shared_ptr<Directory> make_tracefs(VfsWorld& world);
std::shared_ptr<Directory> make_debugfs(VfsWorld& world);

}  // namespace bpfemu
