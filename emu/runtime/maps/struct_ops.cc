// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/struct_ops.h"

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

u64 footprint(const MapAttr& attr) {
  return sizeof(StructOpsMap) + attr.value_size;
}
void init(Map&) {}

s64 get_next_key(Map&, const void* key, void* next) {
  if (key && load<u32>(key) == 0) return -ENOENT;
  store<u32>(next, 0);
  return 0;
}

// Kernel: bpf_struct_ops_map_sys_lookup_elem.
s64 copy_value(Run*, Map& base, const void* key, void* value) {
  auto& map = static_cast<StructOpsMap&>(base);
  if (load<u32>(key) != 0) return -ENOENT;
  if (map.state == kStructOpsInit) {
    __builtin_memset(value, 0, map.value_size);
    return 0;
  }
  __builtin_memcpy(value, map.value(), map.value_size);
  store(value, StructOpsHead{map.references, map.state});
  return 0;
}

}  // namespace

const MapOps struct_ops_ops = {.alloc_check = alloc_check,
                               .footprint = footprint,
                               .init = init,
                               .get_next_key = get_next_key,
                               .copy_value = copy_value,
                               .can_be_inner = false};

}  // namespace bpfemu
