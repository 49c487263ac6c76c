// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK: a ring of values with one slot more than max_entries, so that head = tail
// means empty.
#include "emu/runtime/held_lock.h"
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

struct QueueMap : Map {
  u64 size, head, tail;  // slots; the next free one, the oldest
  u8* slot(u64 index) { return reinterpret_cast<u8*>(this) + sizeof(QueueMap) + index * value_size; }
  u64 after(u64 index) const { return index + 1 == size ? 0 : index + 1; }
  u64 before(u64 index) const { return index == 0 ? size - 1 : index - 1; }
};

s64 alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.max_entries == 0 || attr.key_size != 0 || attr.value_size == 0 ||
      (attr.flags & ~(BPF_F_NUMA_NODE | kAccessMask)) || !access_ok(attr.flags)) {
    return -EINVAL;
  }
  return attr.value_size > kKmallocMax ? -E2BIG : 0;
}

u64 footprint(const MapAttr& attr) {
  return sizeof(QueueMap) + (u64{attr.max_entries} + 1) * attr.value_size;
}
void init(Map& map) {
  static_cast<QueueMap&>(map).size = u64{map.max_entries} + 1;
}

s64 push(Run* run, Map& base, const void* value, u64 flags) {
  if ((flags & BPF_NOEXIST) || flags > BPF_EXIST) return -EINVAL;
  QueueMap& map = static_cast<QueueMap&>(base);
  HeldLock lock(run, map.lock);
  if (map.after(map.head) == map.tail) {
    if (!(flags & BPF_EXIST)) return -E2BIG;
    map.tail = map.after(map.tail);  // the oldest makes room
  }
  __builtin_memcpy(map.slot(map.head), value, map.value_size);
  map.head = map.after(map.head);
  return 0;
}

template <bool from_head, bool take>
s64 get(Run* run, Map& base, void* value) {
  QueueMap& map = static_cast<QueueMap&>(base);
  HeldLock lock(run, map.lock);
  if (map.head == map.tail) {
    __builtin_memset(value, 0, map.value_size);
    return -ENOENT;
  }
  u64 index = from_head ? map.before(map.head) : map.tail;
  __builtin_memcpy(value, map.slot(index), map.value_size);
  if (take && from_head) map.head = index;
  if (take && !from_head) map.tail = map.after(index);
  return 0;
}

template <bool from_head>
constexpr MapOps ops() {
  return {
      .alloc_check = alloc_check,
      .footprint = footprint,
      .init = init,
      .erase = refuse_key<-EINVAL>,
      .push = push,
      .pop = get<from_head, true>,
      .peek = get<from_head, false>,
      .get_next_key = refuse_next<-EINVAL>,
      .copy_value = [](Run* run, Map& map, const void*, void* value) { return get<from_head, false>(run, map, value); },
      .update_value = [](Run* run, Map& map, const void*, const void* value,
                         u64 flags) { return push(run, map, value, flags); }};
}

}  // namespace

const MapOps queue_ops = ops<false>();
const MapOps stack_ops = ops<true>();

}  // namespace bpfemu
