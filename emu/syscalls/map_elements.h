// SPDX-License-Identifier: Apache-2.0
// One element of a map as bpf() reads and writes it: plain bytes go to the map type, descriptors are resolved first.
#pragma once

#include <vector>

#include "emu/syscalls/bpf.h"

namespace bpfemu {

// What may be done through a descriptor: its own mode, less writing when the map is frozen (kernel: map_get_sys_perms).
u32 map_permissions(const File& file, const MapObject& map);

// Kernel: bpf_map_copy_value, bpf_map_update_value and the tail of map_delete_elem.
Result<void> read_element(BpfCall& call, MapObject& map, const void* key, std::vector<u8>& value);
Result<void> write_element(BpfCall& call, File& file, MapObject& map, const void* key, const void* value, u64 flags);
Result<void> erase_element(BpfCall& call, MapObject& map, const void* key);

// Elements that are descriptors (emu/syscalls/bpf_map_fd.cc).
Result<void> read_fd_element(MapObject& map, const void* key, std::vector<u8>& value);
Result<void> write_fd_element(BpfCall& call, File& file, MapObject& map, const void* key, u32 fd, u64 flags);
Result<void> erase_fd_element(MapObject& map, const void* key);
// Does a program fit what is in a map of programs already? The first one decides (emu/syscalls/map_owner.cc; kernel:
// bpf_prog_map_compatible).
bool owner_fits(MapObject& map, const Program& program);

}  // namespace bpfemu
