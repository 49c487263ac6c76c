// SPDX-License-Identifier: Apache-2.0
// Arrays whose elements are descriptors: BPF_MAP_TYPE_PROG_ARRAY, PERF_EVENT_ARRAY, CGROUP_ARRAY and ARRAY_OF_MAPS.
#include "emu/runtime/maps/object_array.h"

#include "emu/runtime/maps/array.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

s64 alloc_check(const MapAttr& attr) {
  if (attr.value_size != 4) return -EINVAL;
  if (attr.flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) return -EINVAL;
  return array_alloc_check(attr);
}

u64 footprint(const MapAttr& attr) {
  return sizeof(ObjectArray) + u64{attr.max_entries} * sizeof(u64);
}
void init(Map&) {}

s64 exchange(Map& base, const void* key, u64 address, u64 flags, u64* old) {
  ObjectArray& map = static_cast<ObjectArray&>(base);
  *old = 0;
  if (address && flags != BPF_ANY) return -EINVAL;
  u32 index = load<u32>(key);
  if (index >= map.max_entries) return -E2BIG;
  *old = __atomic_exchange_n(&map.slots[index], address, __ATOMIC_ACQ_REL);
  return address || *old ? 0 : -ENOENT;
}

s64 copy_program_id(Run*, Map& map, const void* key, void* value) {
  auto* program = reinterpret_cast<const ProgramText*>(object_at(map, load<u32>(key)));
  if (!program) return -ENOENT;
  store(value, program->id);
  return 0;
}

s64 copy_map_id(Run*, Map& map, const void* key, void* value) {
  auto* inner = reinterpret_cast<const Map*>(object_at(map, load<u32>(key)));
  if (!inner) return -ENOENT;
  store(value, inner->id);
  return 0;
}

void* lookup_map(Run*, Map& map, const void* key) {
  return reinterpret_cast<void*>(object_at(map, load<u32>(key)));
}

}  // namespace

const MapOps prog_array_ops = {.alloc_check = alloc_check,
                               .footprint = footprint,
                               .init = init,
                               .get_next_key = array_get_next_key,
                               .copy_value = copy_program_id,
                               .exchange = exchange,
                               .elements = ElementKind::kProgram,
                               .can_be_inner = false};

const MapOps perf_event_array_ops = {.alloc_check = alloc_check,
                                     .footprint = footprint,
                                     .init = init,
                                     .get_next_key = array_get_next_key,
                                     .copy_value = refuse_copy<-ENOTSUPP>,
                                     .exchange = exchange,
                                     .elements = ElementKind::kPerfEvent,
                                     .btf = BtfRule::kNone};

const MapOps cgroup_array_ops = {.alloc_check = alloc_check,
                                 .footprint = footprint,
                                 .init = init,
                                 .get_next_key = array_get_next_key,
                                 .copy_value = refuse_copy<-ENOTSUPP>,
                                 .exchange = exchange,
                                 .elements = ElementKind::kCgroup,
                                 .btf = BtfRule::kNone};

const MapOps array_of_maps_ops = {.alloc_check = alloc_check,
                                  .footprint = footprint,
                                  .init = init,
                                  .lookup = lookup_map,
                                  .get_next_key = array_get_next_key,
                                  .copy_value = copy_map_id,
                                  .exchange = exchange,
                                  .elements = ElementKind::kMap,
                                  .btf = BtfRule::kNone,
                                  .batches = kBatchLookup | kBatchUpdate,
                                  .can_be_inner = false};

}  // namespace bpfemu
