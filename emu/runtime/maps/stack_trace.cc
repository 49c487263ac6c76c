// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/stack_trace.h"

#include "emu/runtime/held_lock.h"
#include "emu/runtime/maps/jhash.h"
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kStackFlags = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID;

struct StackSlot {
  u32 hash;
  u32 count;  // addresses, 0: empty
  u64 data[];
};

struct StackMap : Map {
  u32 slot_mask;
  u32 used;  // slots, at most max_entries
  u64 stride;
  StackSlot* slot(u32 id) {
    return reinterpret_cast<StackSlot*>(reinterpret_cast<u8*>(this) + sizeof(StackMap) + id * stride);
  }
};

bool by_build_id(const Map& map) {
  return map.flags & BPF_F_STACK_BUILD_ID;
}
u64 entry_size(u32 flags) {
  return flags & BPF_F_STACK_BUILD_ID ? sizeof(bpf_stack_build_id) : sizeof(u64);
}

s64 alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.flags & ~kStackFlags) return -EINVAL;
  if (attr.max_entries == 0 || attr.key_size != 4 || attr.value_size < 8 || attr.value_size % 8) return -EINVAL;
  u64 entry = entry_size(attr.flags);
  if (attr.value_size % entry || attr.value_size / entry > kMaxStackDepth) return -EINVAL;
  return attr.max_entries > u64{1} << 31 ? -E2BIG : 0;
}

u64 footprint(const MapAttr& attr) {
  return sizeof(StackMap) + round_up_power_of_two(attr.max_entries) * (sizeof(StackSlot) + attr.value_size);
}

void init(Map& base) {
  StackMap& map = static_cast<StackMap&>(base);
  map.slot_mask = static_cast<u32>(round_up_power_of_two(map.max_entries) - 1);
  map.stride = sizeof(StackSlot) + map.value_size;
}

StackSlot* find(StackMap& map, u32 id) {
  StackSlot* slot = id <= map.slot_mask ? map.slot(id) : nullptr;
  return slot && slot->count ? slot : nullptr;
}

s64 erase(Run* run, Map& base, const void* key) {
  StackMap& map = static_cast<StackMap&>(base);
  u32 id = load<u32>(key);
  if (id > map.slot_mask) return -E2BIG;
  HeldLock lock(run, map.lock);
  StackSlot* slot = find(map, id);
  if (!slot) return -ENOENT;
  slot->count = 0;
  --map.used;
  return 0;
}

s64 copy_value(Run* run, Map& base, const void* key, void* value) {
  StackMap& map = static_cast<StackMap&>(base);
  HeldLock lock(run, map.lock);
  StackSlot* slot = find(map, load<u32>(key));
  if (!slot) return -ENOENT;
  u64 size = slot->count * entry_size(map.flags);
  __builtin_memcpy(value, slot->data, size);
  __builtin_memset(static_cast<u8*>(value) + size, 0, map.value_size - size);
  return 0;
}

s64 get_next_key(Map& base, const void* key, void* next) {
  StackMap& map = static_cast<StackMap&>(base);
  u64 id = key && find(map, load<u32>(key)) ? u64{load<u32>(key)} + 1 : 0;
  while (id <= map.slot_mask && !find(map, static_cast<u32>(id))) ++id;
  if (id > map.slot_mask) return -ENOENT;
  store(next, static_cast<u32>(id));
  return 0;
}

// What a slot holds of a stack, in `room`.
const void* entries_of(Run* run, const Map& map, const u64* ips, u32 count, u64 flags, bpf_stack_build_id* room) {
  if (!by_build_id(map)) return ips;
  put_build_ids(run, flags & BPF_F_USER_STACK, room, ips, count);
  return room;
}

}  // namespace

u32 stack_depth(const Map& map) {
  return static_cast<u32>(map.value_size / entry_size(map.flags));
}

void put_build_ids(Run* run, bool user, bpf_stack_build_id* to, const u64* ips, u32 count) {
  if (user && run && run->env && run->env->build_ids) return run->env->build_ids(run->env->self, run, ips, count, to);
  for (u32 i = 0; i < count; ++i) {
    __builtin_memset(&to[i], 0, sizeof to[i]);
    to[i].status = BPF_STACK_BUILD_ID_IP;
    to[i].ip = ips[i];
  }
}

s64 stack_put(Run* run, Map& base, const u64* ips, u32 count, u64 flags) {
  StackMap& map = static_cast<StackMap&>(base);
  u32 hash = jhash(ips, static_cast<u32>(count * sizeof(u64)), 0), id = hash & map.slot_mask;
  bpf_stack_build_id room[kMaxStackDepth];
  const void* entries = entries_of(run, map, ips, count, flags, room);
  const u64 size = count * entry_size(map.flags);
  HeldLock lock(run, map.lock);
  StackSlot& slot = *map.slot(id);
  const bool same_hash = slot.count && slot.hash == hash, full = map.used == map.max_entries;
  if (same_hash && (flags & BPF_F_FAST_STACK_CMP)) return id;
  // Build ids are put into a new element before they are compared.
  if (by_build_id(map) && full) return -ENOMEM;
  if (same_hash && slot.count == count && __builtin_memcmp(slot.data, entries, size) == 0) return id;
  if (slot.count && !(flags & BPF_F_REUSE_STACKID)) return -EEXIST;
  // Reuse takes a new element before it frees the old one, and fails where there is none.
  if (full) return -ENOMEM;
  if (!slot.count) ++map.used;
  slot.hash = hash;
  slot.count = count;
  __builtin_memcpy(slot.data, entries, size);
  return id;
}

const MapOps stack_trace_ops = {.alloc_check = alloc_check,
                                .footprint = footprint,
                                .init = init,
                                .erase = erase,
                                .get_next_key = get_next_key,
                                .copy_value = copy_value,
                                .update_value = refuse_update<-EINVAL>,
                                .btf = BtfRule::kNone};

}  // namespace bpfemu
