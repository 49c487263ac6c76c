// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/map_elements.h"

#include "emu/base/bytes.h"
#include "emu/syscalls/map_run.h"
#include "emu/syscalls/quiet_maps.h"
#include "emu/syscalls/redirect_targets.h"
#include "emu/syscalls/storage_owner.h"
#include "emu/syscalls/struct_ops.h"

namespace bpfemu {

namespace {

// Values of objects: the key is a descriptor of the tool's, to the map it is the object's address.
Result<const void*> key_of(BpfCall& call, const Map& map, const void* key, u64& owner) {
  if (!is_object_storage(map)) return key;
  owner = TRY(storage_owner(call, map, load<int>(key)));
  return &owner;
}

// The program of a redirection's target, null: it has none.
void hold_program(MapObject& map, const void* key, std::shared_ptr<Program> program) {
  if (program) {
    map.elements[load<u32>(key)] = std::move(program);
  } else {
    map.elements.erase(load<u32>(key));
  }
}

}  // namespace

Result<void> read_element(BpfCall& call, MapObject& map, const void* given, std::vector<u8>& value) {
  u64 owner = 0;
  const void* key = TRY(key_of(call, map.map(), given, owner));
  if (map.map().type == BPF_MAP_TYPE_STRUCT_OPS) count_struct_ops(call.system);
  if (map.ops().elements == ElementKind::kSocket) {
    call.system.socket_maps->drop_closed(map);
  } else if (map.ops().elements != ElementKind::kBytes) {
    return read_fd_element(map, key, value);
  }
  if (!map.ops().copy_value) return fail(ENOTSUPP);
  MapRun run(call.system, call.task, map.map());
  TRY(from_return(map.ops().copy_value(run, map.map(), key, value.data())));
  return {};
}

Result<void> write_element(BpfCall& call, File& file, MapObject& map, const void* given, const void* value, u64 flags) {
  u64 owner = 0;
  const void* key = TRY(key_of(call, map.map(), given, owner));
  if (map.ops().elements == ElementKind::kSocket || map.map().type == BPF_MAP_TYPE_XSKMAP) {
    const u64 fd = map.map().value_size == sizeof(u64) ? load<u64>(value) : load<u32>(value);
    return call.system.socket_maps->put(call.task, map, key, fd, flags);
  }
  if (map.ops().elements != ElementKind::kBytes) {
    return write_fd_element(call, file, map, key, load<u32>(value), flags);
  }
  if (!map.ops().update_value) return fail(ENOTSUPP);
  std::vector<u8> changed;
  std::shared_ptr<Program> program;
  if (has_targets(map.map())) {
    changed = TRY(target_value(call, map, key, value, flags, program));
    value = changed.data();
  }
  if ((map.map().flags & BPF_F_NO_PREALLOC) && call.system.arena->exhausted()) return fail(ENOMEM);
  drop_closed_owners(call.system, map);
  MapRun run(call.system, call.task, map.map());
  TRY(from_return(map.ops().update_value(run, map.map(), key, value, flags)));
  call.system.quiet_maps->changed(map);
  if (has_targets(map.map())) hold_program(map, key, std::move(program));
  return {};
}

Result<void> erase_element(BpfCall& call, MapObject& map, const void* given) {
  u64 owner = 0;
  const void* key = TRY(key_of(call, map.map(), given, owner));
  if (map.ops().elements == ElementKind::kSocket) return call.system.socket_maps->erase(map, key);
  if (map.ops().elements != ElementKind::kBytes) return erase_fd_element(map, key);
  if (!map.ops().erase) return fail(ENOTSUPP);
  MapRun run(call.system, call.task, map.map());
  TRY(from_return(map.ops().erase(run, map.map(), key)));
  call.system.quiet_maps->changed(map);
  if (has_targets(map.map())) hold_program(map, key, nullptr);
  return {};
}

}  // namespace bpfemu
