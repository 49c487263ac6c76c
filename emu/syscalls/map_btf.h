// SPDX-License-Identifier: Apache-2.0
// What BTF says about a map's keys and values, checked at BPF_MAP_CREATE (kernel: map_check_btf).
#pragma once

#include "emu/bpf/map_object.h"

namespace bpfemu {

// Checks the types against the map's sizes and finds the special fields of its values: bpf_spin_lock, bpf_timer,
// kptrs. EINVAL, EACCES, EOPNOTSUPP, ENOTSUPP. `capable`: bpf_capable(), which kptrs need (EPERM).
// `vmlinux` resolves kptr targets, may be null.
Result<void> check_map_btf(MapObject& map, const std::shared_ptr<const Btf>& btf, u32 key_id, u32 value_id,
                           const std::shared_ptr<const Btf>& vmlinux, bool capable);

}  // namespace bpfemu
