// SPDX-License-Identifier: Apache-2.0
// bpf_map_elem: the elements of one map.
#include "emu/base/bytes.h"
#include "emu/iter/map_subject.h"

namespace bpfemu {

namespace {

// What a program may look at of an element: a map's value, or the values of all CPUs copied one behind the other.
u64 shown_size(const MapObject& map) {
  const Map& head = map.map();
  return map.ops().per_cpu ? round_up(head.value_size, 8) * head.cpus : head.value_size;
}

class ElementWalk : public IterWalk {
 public:
  ElementWalk(IterWorld& world, std::shared_ptr<MapObject> map) : world_(world), map_(std::move(map)) {}

  Result<bool> start() override { return found_ = map_->ops().at_place(map_->map(), *place_); }
  bool next() override { return found_ = map_->ops().next_place(map_->map(), *place_); }
  void show(std::span<u64> words, Run& run) override {
    words[0] = world_.bpf.map(*map_).address();
    if (!found_) return;
    words[1] = reinterpret_cast<u64>(place_->key);
    words[2] = reinterpret_cast<u64>(map_->ops().per_cpu ? copy_values(run) : place_->value);
  }
  // The place lies in the arena: an array's index is the key that programs read.
  u64 memory_size() const override { return kValuesAt + (map_->ops().per_cpu ? shown_size(*map_) : 0); }
  void take_memory(u64 address) override {
    place_ = new (reinterpret_cast<void*>(address)) MapPlace();
    values_ = reinterpret_cast<void*>(address + kValuesAt);
  }

 private:
  static constexpr u64 kValuesAt = round_up(sizeof(MapPlace), 8);
  void* copy_values(Run& run) {
    map_->ops().copy_value(&run, map_->map(), place_->key, values_);
    return values_;
  }

  IterWorld& world_;
  std::shared_ptr<MapObject> map_;
  MapPlace* place_ = nullptr;
  void* values_ = nullptr;
  bool found_ = false;
};

}  // namespace

// Kernel: bpf_iter_attach_map.
Result<std::unique_ptr<IterSubject>> map_element_subject(const IterRequest& request) {
  if (!request.info.map.map_fd) return fail(EBADF);
  auto map = TRY(request.world.map_of(request.task, request.info.map.map_fd));
  if (!map->ops().at_place) return fail(EINVAL);
  const auto& verified = request.program.verified;
  if (verified.max_key_access > map->map().key_size || verified.max_value_access > shown_size(*map))
    return fail(EACCES);
  return std::make_unique<MapSubject<ElementWalk>>(request.world, std::move(map));
}

}  // namespace bpfemu
