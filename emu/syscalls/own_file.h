// SPDX-License-Identifier: Apache-2.0
// What the structs of the kernel say of an open file of ours, whose carrier programs are not to see.
#pragma once

#include <memory>

#include "emu/kernel/file_facts.h"
#include "emu/syscalls/files.h"
#include "emu/vfs/vfs.h"

namespace bpfemu {

OwnFile own_file(const Vfs& vfs, File& file);

}  // namespace bpfemu
