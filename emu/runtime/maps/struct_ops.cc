// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_STRUCT_OPS: a kernel structure whose functions are programs. Such a map can be created and reads as
// empty; putting a value in would register it with the kernel, which is not modelled.
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

// The size of the value is checked where the kernel's BTF is known.
s64 alloc_check(const MapAttr& attr) {
  if (attr.key_size != sizeof(u32) || attr.max_entries != 1 || attr.flags || !attr.btf_vmlinux_value_type_id) {
    return -EINVAL;
  }
  return attr.privileged ? 0 : -EPERM;
}

u64 footprint(const MapAttr&) {
  return sizeof(Map);
}
void init(Map&) {}

s64 get_next_key(Map&, const void* key, void* next) {
  if (key && load<u32>(key) == 0) return -ENOENT;
  store<u32>(next, 0);
  return 0;
}

s64 copy_value(Run*, Map& map, const void* key, void* value) {
  if (load<u32>(key) != 0) return -ENOENT;
  __builtin_memset(value, 0, map.value_size);
  return 0;
}

// The checks that come before the members are looked at. The value begins with the kernel's own counter and state.
s64 update_value(Run*, Map& map, const void* key, const void* value, u64 flags) {
  if (flags) return -EINVAL;
  if (load<u32>(key) != 0) return -E2BIG;
  if (map.value_size < sizeof(u64)) return -ENOTSUPP;
  return load<u64>(value) != 0 ? -EINVAL : -ENOTSUPP;
}

}  // namespace

const MapOps struct_ops_ops = {.alloc_check = alloc_check,
                               .footprint = footprint,
                               .init = init,
                               .erase = refuse_key<-ENOENT>,
                               .get_next_key = get_next_key,
                               .copy_value = copy_value,
                               .update_value = update_value,
                               .can_be_inner = false,
                               .unmodelled = true};

}  // namespace bpfemu
