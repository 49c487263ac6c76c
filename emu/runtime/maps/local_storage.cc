// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/local_storage.h"

#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxValue = 0xffff - 128;  // BPF_LOCAL_STORAGE_MAX_VALUE_SIZE

}  // namespace

s64 local_storage_alloc_check(const MapAttr& attr) {
  if ((attr.flags & ~(BPF_F_NO_PREALLOC | BPF_F_CLONE)) || !(attr.flags & BPF_F_NO_PREALLOC) || attr.max_entries ||
      attr.key_size != sizeof(int) || attr.value_size == 0 || !attr.btf_key_type_id || !attr.btf_value_type_id) {
    return -EINVAL;
  }
  if (!attr.privileged) return -EPERM;
  return attr.value_size > kMaxValue ? -E2BIG : 0;
}

}  // namespace bpfemu
