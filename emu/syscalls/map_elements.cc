// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/map_elements.h"

#include <net/if.h>

#include "emu/base/bytes.h"
#include "emu/syscalls/map_run.h"
#include "emu/syscalls/storage_owner.h"
#include "emu/syscalls/struct_ops.h"

namespace bpfemu {

namespace {

// A device map holds interfaces that exist (kernel: __dev_map_alloc_node). What the type itself refuses comes first.
Result<void> check_device(const Map& map, const void* key, const void* value, u64 flags) {
  if (!has_trait(map, kInterfaces)) return {};
  bool by_index = map.type == BPF_MAP_TYPE_DEVMAP;
  if (flags > BPF_EXIST || (by_index && (load<u32>(key) >= map.max_entries || flags == BPF_NOEXIST))) return {};
  char name[IF_NAMESIZE];
  u32 interface = load<u32>(value);
  if (interface && !if_indextoname(interface, name)) return fail(EINVAL);
  return {};
}

// Values of objects: the key is a descriptor of the tool's, to the map it is the object's address.
Result<const void*> key_of(BpfCall& call, const Map& map, const void* key, u64& owner) {
  if (!is_object_storage(map)) return key;
  owner = TRY(storage_owner(call, map, load<int>(key)));
  return &owner;
}

}  // namespace

Result<void> read_element(BpfCall& call, MapObject& map, const void* given, std::vector<u8>& value) {
  u64 owner = 0;
  const void* key = TRY(key_of(call, map.map(), given, owner));
  if (map.ops().elements != ElementKind::kBytes) return read_fd_element(map, key, value);
  if (map.map().type == BPF_MAP_TYPE_STRUCT_OPS) count_struct_ops(call.system);
  if (!map.ops().copy_value) return fail(ENOTSUPP);
  MapRun run(call.system, call.task);
  TRY(from_return(map.ops().copy_value(run, map.map(), key, value.data())));
  return {};
}

Result<void> write_element(BpfCall& call, File& file, MapObject& map, const void* given, const void* value, u64 flags) {
  u64 owner = 0;
  const void* key = TRY(key_of(call, map.map(), given, owner));
  if (map.ops().elements != ElementKind::kBytes) {
    return write_fd_element(call, file, map, key, load<u32>(value), flags);
  }
  if (!map.ops().update_value) return fail(ENOTSUPP);
  TRY(check_device(map.map(), key, value, flags));
  if ((map.map().flags & BPF_F_NO_PREALLOC) && call.system.arena->exhausted()) return fail(ENOMEM);
  MapRun run(call.system, call.task);
  TRY(from_return(map.ops().update_value(run, map.map(), key, value, flags)));
  return {};
}

Result<void> erase_element(BpfCall& call, MapObject& map, const void* given) {
  u64 owner = 0;
  const void* key = TRY(key_of(call, map.map(), given, owner));
  if (map.ops().elements != ElementKind::kBytes) return erase_fd_element(map, key);
  if (!map.ops().erase) return fail(ENOTSUPP);
  MapRun run(call.system, call.task);
  TRY(from_return(map.ops().erase(run, map.map(), key)));
  return {};
}

}  // namespace bpfemu
