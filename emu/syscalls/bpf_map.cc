// SPDX-License-Identifier: Apache-2.0
// Map commands that work on one element, and BPF_MAP_CREATE and BPF_MAP_FREEZE.
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "emu/base/room.h"
#include "emu/bpf/struct_ops.h"
#include "emu/iter/world.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/map_btf.h"
#include "emu/syscalls/map_elements.h"
#include "emu/syscalls/map_mmap.h"
#include "emu/syscalls/map_run.h"
#include "emu/syscalls/storage_owner.h"
#include "emu/syscalls/struct_ops.h"

namespace bpfemu {

namespace {

constexpr u32 kNoNode = ~u32{0};  // NUMA_NO_NODE

// The claimed machine has one NUMA node.
bool bad_node(const bpf_attr& attr) {
  return (attr.map_flags & BPF_F_NUMA_NODE) && attr.numa_node != 0 && attr.numa_node != kNoNode;
}

// Combinations that no type takes (kernel: the head of map_create).
Result<void> check_create(const bpf_attr& attr) {
  if (attr.btf_vmlinux_value_type_id) {
    if (attr.map_type != BPF_MAP_TYPE_STRUCT_OPS || attr.btf_key_type_id || attr.btf_value_type_id) return fail(EINVAL);
  } else if (attr.btf_key_type_id && !attr.btf_value_type_id) {
    return fail(EINVAL);
  }
  if (attr.map_type != BPF_MAP_TYPE_BLOOM_FILTER && attr.map_extra != 0) return fail(EINVAL);
  return {};
}

// A detached copy of what the elements of a map of maps must look like (kernel: bpf_map_meta_alloc).
Result<std::shared_ptr<MapObject>> inner_template(BpfCall& call) {
  auto inner = TRY(call.map(call.attr.inner_map_fd));
  if (inner->inner_template) return fail(EINVAL);
  if (!inner->ops().can_be_inner || inner->spin_lock_offset) return fail(ENOTSUPP);
  const Map& map = inner->map();
  MapAttr attr{.type = map.type, .key_size = map.key_size, .value_size = map.value_size,
               .max_entries = map.max_entries, .flags = map.flags, .extra = map.extra, .cpus = map.cpus,
               .privileged = true};
  auto copy = TRY(MapObject::create(*call.system.arena, attr, inner->ops()));
  copy->btf = inner->btf;
  copy->btf_key_type_id = inner->btf_key_type_id;
  copy->btf_value_type_id = inner->btf_value_type_id;
  copy->spin_lock_offset = inner->spin_lock_offset;  // only why there is none
  copy->timer_offset = inner->timer_offset;
  copy->kptrs = inner->kptrs;
  return copy;
}

Result<void> attach_btf(BpfCall& call, MapObject& map) {
  const bpf_attr& attr = call.attr;
  if (!attr.btf_key_type_id && !attr.btf_value_type_id && !attr.btf_vmlinux_value_type_id) return {};
  auto btf = TRY(call.btf(attr.btf_fd));
  if (btf->is_kernel()) return fail(EACCES);
  map.btf = btf;
  if (attr.btf_value_type_id) {
    TRY(check_map_btf(map, btf, attr.btf_key_type_id, attr.btf_value_type_id, call.system.vmlinux, call.caps.bpf));
  }
  map.btf_key_type_id = attr.btf_key_type_id;
  map.btf_value_type_id = attr.btf_value_type_id;
  map.btf_vmlinux_value_type_id = attr.btf_vmlinux_value_type_id;
  return {};
}

// Kernel: bpf_struct_ops_map_alloc.
Result<void> check_struct_ops(BpfCall& call) {
  if (!call.system.vmlinux) return fail(ENOTSUPP);
  auto size = struct_ops_value_size(*call.system.vmlinux, call.attr.btf_vmlinux_value_type_id);
  if (!size) return fail(ENOTSUPP);
  return *size == call.attr.value_size ? Result<void>{} : fail(EINVAL);
}

// The kernel's find_and_alloc_map.
Result<std::shared_ptr<MapObject>> create(BpfCall& call) {
  const bpf_attr& attr = call.attr;
  const MapOps* ops = map_ops(attr.map_type);
  const MapType* type = map_type(attr.map_type);
  if (!ops || (type && type->since > call.system.profile.code)) {
    if (type && type->since <= call.system.profile.code) {
      call.system.unmodelled.note("map type", type->name);
    }
    return fail(EINVAL);
  }
  MapAttr checked{.type = attr.map_type, .key_size = attr.key_size, .value_size = attr.value_size,
                  .max_entries = attr.max_entries, .flags = attr.map_flags, .extra = attr.map_extra,
                  .cpus = call.system.arena->cpus(), .privileged = call.caps.bpf,
                  .btf_key_type_id = attr.btf_key_type_id, .btf_value_type_id = attr.btf_value_type_id,
                  .btf_vmlinux_value_type_id = attr.btf_vmlinux_value_type_id};
  if (ops->alloc_check) TRY(from_return(ops->alloc_check(checked)));
  if (attr.map_ifindex) return fail(EINVAL);  // no device that takes maps
  if (attr.map_type == BPF_MAP_TYPE_STRUCT_OPS) TRY(check_struct_ops(call));

  std::shared_ptr<MapObject> inner;
  if (ops->elements == ElementKind::kMap) inner = TRY(inner_template(call));
  checked.flags &= ~u32{BPF_F_RDONLY | BPF_F_WRONLY};  // of the descriptor, not of the map
  auto map = TRY(MapObject::create(*call.system.arena, checked, *ops));
  map->inner_template = std::move(inner);
  return map;
}

// A descriptor's map, with the access that the descriptor and a freeze leave.
struct Opened {
  std::shared_ptr<File> file;
  std::shared_ptr<MapObject> object;
  MapObject* operator->() const { return object.get(); }
  Map& map() const { return object->map(); }
};

Result<Opened> open_map(BpfCall& call, u32 fd, u32 access) {
  auto file = TRY(call.file(fd, ObjectKind::kMap));
  auto object = std::static_pointer_cast<MapObject>(file->object());
  if (access & ~map_permissions(*file, *object)) return fail(EPERM);
  return Opened{std::move(file), std::move(object)};
}

Result<void> check_lock_flag(const Opened& map, u64 flags) {
  if ((flags & BPF_F_LOCK) && !map->spin_lock_offset) return fail(EINVAL);
  return {};
}

// A key of the tool; types without keys want a null pointer (kernel: __bpf_copy_key).
Result<std::vector<u8>> copy_key(BpfCall& call, const Map& map) {
  if (map.key_size == 0 && call.attr.key) return fail(EINVAL);
  return call.copy_in(call.attr.key, map.key_size);
}

}  // namespace

u32 map_permissions(const File& file, const MapObject& map) {
  return map.frozen ? file.mode & ~kModeWrite : file.mode;
}

Result<u64> install_map(BpfCall& call, std::shared_ptr<MapObject> map, u32 flags) {
  return call.install(std::make_shared<MapFile>(std::move(map), flags));
}

void show_maps(System& system) {
  if (std::exchange(system.maps_shown, true)) return;
  for (auto id = system.maps.next(0); id; id = system.maps.next(*id)) {
    if (const auto map = system.maps.find(*id)) system.iterators->bpf.map(**map, map->use_count());
  }
}

Result<u64> map_create(BpfCall& call) {
  TRY(check_create(call.attr));
  u32 flags = TRY(open_flag(call.attr.map_flags));
  if (bad_node(call.attr)) return fail(EINVAL);
  auto map = TRY(create(call));
  map->name = TRY(object_name(call.attr.map_name));
  TRY(attach_btf(call, *map));
  map->set_value_fields();
  call.system.maps.add(map);
  map->map().id = map->id();
  if (call.system.maps_shown) call.system.iterators->bpf.map(*map, map.use_count());
  if (is_object_storage(map->map())) watch_storage_owners(call.system);
  return install_map(call, map, flags);
}

Result<u64> map_lookup(BpfCall& call) {
  if (call.attr.flags & ~u64{BPF_F_LOCK}) return fail(EINVAL);
  auto map = TRY(open_map(call, call.attr.map_fd, kModeRead));
  TRY(check_lock_flag(map, call.attr.flags));
  auto key = TRY(copy_key(call, map.map()));
  u64 size = user_value_size(map.map());
  if (map.map().type == BPF_MAP_TYPE_BLOOM_FILTER) {
    // The value is what is asked about, not what is answered.
    auto value = TRY(call.copy_in(call.attr.value, size));
    TRY(read_element(call, *map.object, key.data(), value));
    return 0;
  }
  TRY(room_for(size));
  std::vector<u8> value(size);
  TRY(read_element(call, *map.object, key.data(), value));
  TRY(call.copy_out(call.attr.value, value.data(), size));
  return 0;
}

Result<u64> map_update(BpfCall& call) {
  auto map = TRY(open_map(call, call.attr.map_fd, kModeWrite));
  TRY(check_lock_flag(map, call.attr.flags));
  auto key = TRY(copy_key(call, map.map()));
  auto value = TRY(call.copy_in(call.attr.value, user_value_size(map.map())));
  if (map.map().type == BPF_MAP_TYPE_STRUCT_OPS) {
    return register_struct_ops(call, map.object, key.data(), value.data(), call.attr.flags);
  }
  TRY(write_element(call, *map.file, *map.object, key.data(), value.data(), call.attr.flags));
  return 0;
}

Result<u64> map_delete(BpfCall& call) {
  auto map = TRY(open_map(call, call.attr.map_fd, kModeWrite));
  auto key = TRY(copy_key(call, map.map()));
  if (map.map().type == BPF_MAP_TYPE_STRUCT_OPS) {
    TRY(unregister_struct_ops(call.system, *map.object));
    return 0;
  }
  TRY(erase_element(call, *map.object, key.data()));
  return 0;
}

Result<u64> map_get_next_key(BpfCall& call) {
  auto map = TRY(open_map(call, call.attr.map_fd, kModeRead));
  std::vector<u8> key;
  if (call.attr.key) key = TRY(copy_key(call, map.map()));
  std::vector<u8> next(map.map().key_size);
  if (!map->ops().get_next_key) return fail(ENOTSUPP);
  if (map->ops().elements == ElementKind::kSocket) call.system.socket_maps->drop_closed(*map.object);
  TRY(from_return(map->ops().get_next_key(map.map(), call.attr.key ? key.data() : nullptr, next.data())));
  TRY(call.copy_out(call.attr.next_key, next.data(), next.size()));
  return 0;
}

Result<u64> map_lookup_and_delete(BpfCall& call) {
  if (call.attr.flags & ~u64{BPF_F_LOCK}) return fail(EINVAL);
  auto map = TRY(open_map(call, call.attr.map_fd, kModeRead | kModeWrite));
  bool keyless = has_trait(map.map(), kKeyless);
  if (call.attr.flags && keyless) return fail(EINVAL);
  TRY(check_lock_flag(map, call.attr.flags));
  auto key = TRY(copy_key(call, map.map()));
  TRY(room_for(user_value_size(map.map())));
  std::vector<u8> value(user_value_size(map.map()));
  MapRun run(call.system, call.task, map.map());
  if (keyless) {
    TRY(from_return(map->ops().pop(run, map.map(), value.data())));
  } else if (map->ops().lookup_and_delete) {
    TRY(from_return(map->ops().lookup_and_delete(run, map.map(), key.data(), value.data())));
  } else {
    return fail(ENOTSUPP);
  }
  TRY(call.copy_out(call.attr.value, value.data(), value.size()));
  return 0;
}

Result<u64> map_freeze(BpfCall& call) {
  auto map = TRY(call.map(call.attr.map_fd));
  if (map->map().type == BPF_MAP_TYPE_STRUCT_OPS || map->timer_offset || !map->kptrs.empty()) return fail(ENOTSUPP);
  // Unmapping does not stop for us, so whether a writable mapping is left is looked up where it matters.
  if (map->writers && !ArenaMappings(call.system).writable(map->extent())) map->writers = 0;
  if (map->writers || map->frozen) return fail(EBUSY);
  if (!call.caps.bpf) return fail(EPERM);
  map->frozen = true;
  map->map().frozen = 1;
  return 0;
}

}  // namespace bpfemu
