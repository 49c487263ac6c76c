// SPDX-License-Identifier: Apache-2.0
// The operations of all map types, for the table in emu/abi/map_types.inc. Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"

namespace bpfemu {

extern const MapOps hash_ops, lru_hash_ops, percpu_hash_ops, lru_percpu_hash_ops, hash_of_maps_ops;
extern const MapOps array_ops, percpu_array_ops;
extern const MapOps prog_array_ops, perf_event_array_ops, cgroup_array_ops, array_of_maps_ops;
extern const MapOps queue_ops, stack_ops, bloom_filter_ops;
extern const MapOps stack_trace_ops, lpm_trie_ops, ringbuf_ops, user_ringbuf_ops;
extern const MapOps cpumap_ops, devmap_ops, devmap_hash_ops;
extern const MapOps sockmap_ops, sockhash_ops, xskmap_ops, reuseport_sockarray_ops;
extern const MapOps cgroup_storage_ops, percpu_cgroup_storage_ops, object_storage_ops;
extern const MapOps struct_ops_ops;

}  // namespace bpfemu
