// SPDX-License-Identifier: Apache-2.0
// Which helpers take which maps (kernel: check_map_func_compatibility, check_map_prog_compatibility).
#include <algorithm>
#include <initializer_list>

#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

// Maps that only these helpers take. Other maps go to every helper that takes a map.
struct MapHelpers {
  u32 map;
  std::initializer_list<u32> helpers;
};
const MapHelpers kHelpersOfMap[] = {
    {BPF_MAP_TYPE_PROG_ARRAY, {BPF_FUNC_tail_call}},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY,
     {BPF_FUNC_perf_event_read, BPF_FUNC_perf_event_output, BPF_FUNC_skb_output, BPF_FUNC_perf_event_read_value,
      BPF_FUNC_xdp_output}},
    {BPF_MAP_TYPE_RINGBUF,
     {BPF_FUNC_ringbuf_output, BPF_FUNC_ringbuf_reserve, BPF_FUNC_ringbuf_query, BPF_FUNC_ringbuf_reserve_dynptr,
      BPF_FUNC_ringbuf_submit_dynptr, BPF_FUNC_ringbuf_discard_dynptr}},
    {BPF_MAP_TYPE_USER_RINGBUF, {BPF_FUNC_user_ringbuf_drain}},
    {BPF_MAP_TYPE_STACK_TRACE, {BPF_FUNC_get_stackid}},
    {BPF_MAP_TYPE_CGROUP_ARRAY, {BPF_FUNC_skb_under_cgroup, BPF_FUNC_current_task_under_cgroup}},
    {BPF_MAP_TYPE_CGROUP_STORAGE, {BPF_FUNC_get_local_storage}},
    {BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, {BPF_FUNC_get_local_storage}},
    {BPF_MAP_TYPE_DEVMAP, {BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem}},
    {BPF_MAP_TYPE_DEVMAP_HASH, {BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem}},
    {BPF_MAP_TYPE_CPUMAP, {BPF_FUNC_redirect_map}},
    {BPF_MAP_TYPE_XSKMAP, {BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem}},
    {BPF_MAP_TYPE_ARRAY_OF_MAPS, {BPF_FUNC_map_lookup_elem}},
    {BPF_MAP_TYPE_HASH_OF_MAPS, {BPF_FUNC_map_lookup_elem}},
    {BPF_MAP_TYPE_SOCKMAP,
     {BPF_FUNC_sk_redirect_map, BPF_FUNC_sock_map_update, BPF_FUNC_msg_redirect_map, BPF_FUNC_sk_select_reuseport,
      BPF_FUNC_map_lookup_elem}},
    {BPF_MAP_TYPE_SOCKHASH,
     {BPF_FUNC_sk_redirect_hash, BPF_FUNC_sock_hash_update, BPF_FUNC_msg_redirect_hash, BPF_FUNC_sk_select_reuseport,
      BPF_FUNC_map_lookup_elem}},
    {BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, {BPF_FUNC_sk_select_reuseport}},
    {BPF_MAP_TYPE_QUEUE, {BPF_FUNC_map_peek_elem, BPF_FUNC_map_pop_elem, BPF_FUNC_map_push_elem}},
    {BPF_MAP_TYPE_STACK, {BPF_FUNC_map_peek_elem, BPF_FUNC_map_pop_elem, BPF_FUNC_map_push_elem}},
    {BPF_MAP_TYPE_SK_STORAGE, {BPF_FUNC_sk_storage_get, BPF_FUNC_sk_storage_delete}},
    {BPF_MAP_TYPE_INODE_STORAGE, {BPF_FUNC_inode_storage_get, BPF_FUNC_inode_storage_delete}},
    {BPF_MAP_TYPE_TASK_STORAGE, {BPF_FUNC_task_storage_get, BPF_FUNC_task_storage_delete}},
    {BPF_MAP_TYPE_BLOOM_FILTER, {BPF_FUNC_map_peek_elem, BPF_FUNC_map_push_elem}},
};

bool has(std::initializer_list<u32> list, u32 item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool is_tracing(u32 type) {
  return has({BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_PERF_EVENT, BPF_PROG_TYPE_RAW_TRACEPOINT,
              BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE},
             type);
}

// A helper that the list of some map names takes such maps alone. A lookup is for all maps, but for those of a list.
bool takes_listed_maps_only(u32 helper) {
  return helper != BPF_FUNC_map_lookup_elem &&
         std::any_of(std::begin(kHelpersOfMap), std::end(kHelpersOfMap), [=](auto& rule) { return has(rule.helpers, helper); });
}

}  // namespace

// Updating a sockmap takes locks that are not safe everywhere.
bool Checker::may_update_sockmap(u32 helper) {
  if (helper != BPF_FUNC_map_update_elem && helper != BPF_FUNC_map_delete_elem) return false;
  switch (info_.resolved_type()) {
    case BPF_PROG_TYPE_TRACING:
      if (info_.expected_attach_type == BPF_TRACE_ITER) return true;
      break;
    case BPF_PROG_TYPE_SOCK_OPS:
      if (helper == BPF_FUNC_map_delete_elem) return true;
      break;
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS:
    case BPF_PROG_TYPE_SCHED_ACT:
    case BPF_PROG_TYPE_XDP:
    case BPF_PROG_TYPE_SK_REUSEPORT:
    case BPF_PROG_TYPE_FLOW_DISSECTOR:
    case BPF_PROG_TYPE_SK_LOOKUP: return true;
    default: break;
  }
  log_.print("cannot update sockmap in this context\n");
  return false;
}

Check Checker::check_map_for_helper(const MapObject* object, u32 helper) {
  if (!object) return {};
  const Map& map = object->map();
  auto rule = std::find_if(std::begin(kHelpersOfMap), std::end(kHelpersOfMap), [&](auto& r) { return r.map == map.type; });
  bool listed = rule != std::end(kHelpersOfMap);
  bool fits = listed ? has(rule->helpers, helper) || (has_trait(map, kSockets) && may_update_sockmap(helper))
                     : !takes_listed_maps_only(helper);
  if (helper == BPF_FUNC_map_lookup_percpu_elem) fits = object->ops().lookup_percpu != nullptr;
  if (!fits) return reject(EINVAL, "cannot pass map_type {} into func {}#{}\n", map.type, helper_text(helper), helper);
  return {};
}

Check Checker::check_map_for_program(const MapObject& object) {
  u32 type = info_.resolved_type();
  if (object.spin_lock_offset) {
    if (type == BPF_PROG_TYPE_SOCKET_FILTER) {
      return reject(EINVAL, "socket filter progs cannot use bpf_spin_lock yet\n");
    }
    if (is_tracing(type)) return reject(EINVAL, "tracing progs cannot use bpf_spin_lock yet\n");
    if (info_.sleepable) return reject(EINVAL, "sleepable progs cannot use bpf_spin_lock yet\n");
  }
  if (object.timer_offset && is_tracing(type)) return reject(EINVAL, "tracing progs cannot use bpf_timer yet\n");
  if (object.map().type == BPF_MAP_TYPE_STRUCT_OPS) return reject(EINVAL, "bpf_struct_ops map cannot be used in prog\n");
  if (info_.sleepable && !has_trait(object.map(), kSleepable)) {
    return reject(EINVAL, "Sleepable programs can only use array, hash, and ringbuf maps\n");
  }
  return {};
}

}  // namespace bpfemu
