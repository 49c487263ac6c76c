// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_LOOKUP_ELEM and BPF_MAP_GET_NEXT_KEY, for maps of plain values, when all goes well or there is no such element.
//
// The supervisor may change the map meanwhile, as another CPU may in a kernel, whose readers take no lock either. When
// the map's last descriptor has gone its memory may be anything: then what was found does not count (MapIndex::gone),
// and a search ends after kMostSteps.
#include <linux/bpf.h>

#include <cerrno>

#include "emu/arena/layout.h"
#include "emu/base/bytes.h"
#include "emu/runtime/inside/map_call.h"
#include "emu/runtime/maps/array.h"
#include "emu/runtime/maps/hash_table.h"

namespace bpfemu {

namespace {

constexpr u32 kMostSteps = 4096;

class MapReader {
 public:
  MapReader(const InsideState& state, const MapCall& call) : state_(state), call_(call) {}

  // The descriptor's map. False: it is for the supervisor.
  bool find() {
    gone_ = __atomic_load_n(&state_.maps->gone, __ATOMIC_SEQ_CST);
    const MapIndex::Place* const place = place_of(state_, call_.fd);
    if (!place) return false;
    map_ = place->map;
    type_ = map_->type;
    key_size_ = map_->key_size;
    value_size_ = map_->value_size;
    cpus_ = map_->cpus;
    max_entries_ = map_->max_entries;
    return true;
  }

  // Empty-handed: false. Else the result of the call is in `result`.
  bool lookup(s64& result) {
    if (call_.key == 0) return false;
    const u64 stride = round_up(value_size_, 8);
    switch (type_) {
      case BPF_MAP_TYPE_ARRAY: return array(value_size_, 1, result);
      case BPF_MAP_TYPE_PERCPU_ARRAY: return array(stride, cpus_, result);
      case BPF_MAP_TYPE_HASH:
      case BPF_MAP_TYPE_LRU_HASH: return hash(value_size_, result);
      case BPF_MAP_TYPE_PERCPU_HASH:
      case BPF_MAP_TYPE_LRU_PERCPU_HASH: return hash(stride * cpus_, result);
      default: return false;
    }
  }

  bool next_key(s64& result) {
    switch (type_) {
      case BPF_MAP_TYPE_ARRAY:
      case BPF_MAP_TYPE_PERCPU_ARRAY: return next_index(result);
      case BPF_MAP_TYPE_HASH:
      case BPF_MAP_TYPE_LRU_HASH:
      case BPF_MAP_TYPE_PERCPU_HASH:
      case BPF_MAP_TYPE_LRU_PERCPU_HASH: return next_in_hash(result);
      default: return false;
    }
  }

 private:
  bool is_as_it_was() const { return __atomic_load_n(&state_.maps->gone, __ATOMIC_SEQ_CST) == gone_; }
  const void* key() const { return reinterpret_cast<const void*>(call_.key); }
  HashMap& hash_map() const { return *static_cast<HashMap*>(map_); }

  bool end(s64 value, s64& result) const {
    result = value;
    return is_as_it_was();
  }
  // `count` pieces, one after the other, which lie `apart`.
  bool give(const u8* from, u64 size, u64 count, u64 apart, s64& result) const {
    if (!is_as_it_was()) return false;
    u8* const to = reinterpret_cast<u8*>(call_.out);
    for (u64 i = 0; i < count; ++i) __builtin_memcpy(to + i * size, from + i * apart, size);
    return end(0, result);
  }

  bool array(u64 size, u64 planes, s64& result) const {
    ArrayMap& map = *static_cast<ArrayMap*>(map_);
    const u32 index = load<u32>(key());
    if (index >= max_entries_) return end(-ENOENT, result);
    return give(map.value(index), size, planes, map.plane, result);
  }

  // Null and out of steps: nobody knows.
  HashElement* find_element(u32 hash, u32& steps) const {
    return hash_find(hash_map(), key(), hash, [&] { return --steps == 0; });
  }

  bool hash(u64 size, s64& result) const {
    u32 steps = kMostSteps;
    HashElement* const e = find_element(jhash(key(), key_size_, hash_map().seed), steps);
    if (steps == 0) return false;
    return e ? give(hash_map().value(e), size, 1, 0, result) : end(-ENOENT, result);
  }

  bool next_index(s64& result) const {
    const u32 index = call_.key ? load<u32>(key()) : ~u32{0};
    if (index != ~u32{0} && index == max_entries_ - 1) return end(-ENOENT, result);
    const u32 next = index >= max_entries_ ? 0 : index + 1;
    return give(reinterpret_cast<const u8*>(&next), sizeof next, 1, 0, result);
  }

  // To the first element from the link on that is there. False: there is none, or no step is left.
  bool skip_away(HashLink& link, u32& steps) const {
    HashMap& map = hash_map();
    for (; !HashMap::is_end(link); link = __atomic_load_n(&map.element(link)->next, __ATOMIC_ACQUIRE)) {
      if (map.is_there(map.element(link))) return true;
      if (steps == 0 || --steps == 0) break;
    }
    return false;
  }

  // Kernel: htab_map_get_next_key.
  bool next_in_hash(s64& result) const {
    HashMap& map = hash_map();
    const u32 mask = map.bucket_mask;
    u32 steps = kMostSteps;
    u64 bucket = 0;
    HashLink link = 0;
    if (call_.key) {
      const u32 hash = jhash(key(), key_size_, map.seed);
      HashElement* const e = find_element(hash, steps);
      if (steps == 0) return false;
      if (e) {
        link = __atomic_load_n(&e->next, __ATOMIC_ACQUIRE);
        bucket = u64{hash & mask} + 1;
      }
    }
    for (; !skip_away(link, steps) && bucket <= mask; ++bucket)
      link = __atomic_load_n(&map.bucket(static_cast<u32>(bucket)).first, __ATOMIC_ACQUIRE);
    if (steps == 0) return false;
    if (HashMap::is_end(link)) return end(-ENOENT, result);
    return give(map.key(map.element(link)), key_size_, 1, 0, result);
  }

  const InsideState& state_;
  const MapCall& call_;
  Map* map_ = nullptr;
  u64 gone_ = 0;
  u32 type_ = 0, key_size_ = 0, value_size_ = 0, cpus_ = 0, max_entries_ = 0;
};

}  // namespace

bool read_map(const InsideState& state, const MapCall& call, u32 command, s64& result) {
  MapReader reader(state, call);
  if (!reader.find()) return false;
  return command == BPF_MAP_LOOKUP_ELEM ? reader.lookup(result) : reader.next_key(result);
}

}  // namespace bpfemu
