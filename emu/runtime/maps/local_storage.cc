// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_SK_STORAGE: values that belong to a socket. Such maps can be created and loaded with; their values are not
// modelled, so they lack the operations.
#include "emu/runtime/maps/local_storage.h"

#include "emu/runtime/maps/types.h"
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

namespace {

u64 footprint(const MapAttr&) {
  return sizeof(Map);
}
void init(Map&) {}

}  // namespace

const MapOps local_storage_ops = {.alloc_check = local_storage_alloc_check,
                                  .footprint = footprint,
                                  .init = init,
                                  .get_next_key = refuse_next<-ENOTSUPP>,
                                  .btf = BtfRule::kIntKey,
                                  .unmodelled = true};

}  // namespace bpfemu
