// SPDX-License-Identifier: Apache-2.0
// The functions behind each map type, which programs call directly when the map is known (kernel: struct bpf_map_ops).
#include "emu/verifier/show_maps.h"

#include <iterator>

#include "emu/verifier/fixup_phases.h"

namespace bpfemu {
namespace {

struct Functions {
  u32 type;
  const char* names[static_cast<size_t>(MapCall::kCount)];  // in the order of MapCall
};

#define HASH(name, each) \
  name "_map_lookup_elem", name "_map_update_elem", name "_map_delete_elem", nullptr, nullptr, nullptr, nullptr, each
#define PLAIN(name) name "_lookup_elem", name "_update_elem", name "_delete_elem"
#define QUEUE(name) \
  PLAIN("queue_stack_map"), "queue_stack_map_push_elem", name "_map_pop_elem", name "_map_peek_elem"
#define REDIRECT(name, redirect) PLAIN(name), nullptr, nullptr, nullptr, redirect

constexpr char kEachHash[] = "bpf_for_each_hash_elem", kEachArray[] = "bpf_for_each_array_elem";

constexpr Functions kFunctions[] = {
    {BPF_MAP_TYPE_HASH, {HASH("htab", kEachHash)}},
    {BPF_MAP_TYPE_LRU_HASH, {HASH("htab_lru", kEachHash)}},
    {BPF_MAP_TYPE_PERCPU_HASH,
     {"htab_percpu_map_lookup_elem", "htab_percpu_map_update_elem", "htab_map_delete_elem", nullptr, nullptr, nullptr,
      nullptr, kEachHash, "htab_percpu_map_lookup_percpu_elem"}},
    {BPF_MAP_TYPE_LRU_PERCPU_HASH,
     {"htab_lru_percpu_map_lookup_elem", "htab_lru_percpu_map_update_elem", "htab_lru_map_delete_elem", nullptr, nullptr,
      nullptr, nullptr, kEachHash, "htab_lru_percpu_map_lookup_percpu_elem"}},
    {BPF_MAP_TYPE_ARRAY, {HASH("array", kEachArray)}},
    {BPF_MAP_TYPE_PERCPU_ARRAY,
     {"percpu_array_map_lookup_elem", "array_map_update_elem", "array_map_delete_elem", nullptr, nullptr, nullptr, nullptr,
      kEachArray, "percpu_array_map_lookup_percpu_elem"}},
    {BPF_MAP_TYPE_LPM_TRIE, {PLAIN("trie")}},
    {BPF_MAP_TYPE_QUEUE, {QUEUE("queue")}},
    {BPF_MAP_TYPE_STACK, {QUEUE("stack")}},
    {BPF_MAP_TYPE_BLOOM_FILTER,
     {"bloom_map_lookup_elem", "bloom_map_update_elem", "bloom_map_delete_elem", "bloom_map_push_elem",
      "bloom_map_pop_elem", "bloom_map_peek_elem"}},
    {BPF_MAP_TYPE_STACK_TRACE, {"stack_map_lookup_elem", "stack_map_update_elem", "stack_map_delete_elem"}},
    {BPF_MAP_TYPE_DEVMAP, {REDIRECT("dev_map", "dev_map_redirect")}},
    {BPF_MAP_TYPE_DEVMAP_HASH, {REDIRECT("dev_map_hash", "dev_hash_map_redirect")}},
    {BPF_MAP_TYPE_CPUMAP, {REDIRECT("cpu_map", "cpu_map_redirect")}},
    {BPF_MAP_TYPE_XSKMAP, {REDIRECT("xsk_map", "xsk_map_redirect")}},
    {BPF_MAP_TYPE_SOCKMAP, {"sock_map_lookup", "sock_map_update_elem", "sock_map_delete_elem"}},
    {BPF_MAP_TYPE_SOCKHASH, {"sock_hash_lookup", "sock_map_update_elem", "sock_hash_delete_elem"}},
    {BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, {"reuseport_array_lookup_elem", nullptr, "reuseport_array_delete_elem"}},
    {BPF_MAP_TYPE_ARRAY_OF_MAPS, {"array_of_map_lookup_elem", nullptr, "fd_array_map_delete_elem"}},
    {BPF_MAP_TYPE_HASH_OF_MAPS, {"htab_of_map_lookup_elem", nullptr, "htab_map_delete_elem"}},
};

#undef HASH
#undef PLAIN
#undef QUEUE
#undef REDIRECT

constexpr const char* kOthers[] = {
    "__htab_map_lookup_elem",
    "bpf_skb_load_helper_8_no_cache",
    "bpf_skb_load_helper_16_no_cache",
    "bpf_skb_load_helper_32_no_cache",
};
static_assert(std::size(kOthers) == static_cast<size_t>(OtherCall::kCount));

constexpr int kCalls = static_cast<int>(MapCall::kCount), kOfMaps = static_cast<int>(std::size(kFunctions)) * kCalls;

}  // namespace

s16 map_function_number(u32 map_type, MapCall call) {
  for (size_t row = 0; row < std::size(kFunctions); ++row) {
    int column = static_cast<int>(call);
    if (kFunctions[row].type != map_type) continue;
    return kFunctions[row].names[column] ? static_cast<s16>(static_cast<int>(row) * kCalls + column + 1) : s16{0};
  }
  return 0;
}

s16 map_function_number(OtherCall call) { return static_cast<s16>(kOfMaps + static_cast<int>(call) + 1); }

const char* map_function(s16 number) {
  int index = number - 1;
  return index < kOfMaps ? kFunctions[index / kCalls].names[index % kCalls] : kOthers[index - kOfMaps];
}

}  // namespace bpfemu
