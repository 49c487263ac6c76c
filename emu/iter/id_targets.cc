// SPDX-License-Identifier: Apache-2.0
// bpf_map, bpf_prog and bpf_link: all objects of one kind, by their ids.
#include "emu/iter/targets.h"

namespace bpfemu {

namespace {

// kernel: bpf_map_get_curr_or_next and its like.
template <class T>
class IdWalk : public IterWalk {
 public:
  using Show = KernelObject (*)(BpfObjects& objects, const std::shared_ptr<T>& object);
  IdWalk(IterWorld& world, IdSpace<T>& ids, Show show) : world_(world), ids_(ids), show_(show) {}

  Result<bool> start() override {
    object_.reset();
    while (!object_) {
      const auto id = ids_.next(id_ ? id_ - 1 : 0);
      if (!id) return false;
      id_ = *id;
      object_ = ids_.find(id_).value_or(nullptr);
    }
    return true;
  }
  bool next() override {
    ++id_;
    return start().value_or(false);
  }
  void pause() override { object_.reset(); }
  void show(std::span<u64> words, Run&) override {
    if (object_) words[0] = show_(world_.bpf, object_).address();
  }

 private:
  IterWorld& world_;
  IdSpace<T>& ids_;
  Show show_;
  u32 id_ = 0;
  std::shared_ptr<T> object_;
};

template <class T>
class IdSubject : public IterSubject {
 public:
  IdSubject(IterWorld& world, IdSpace<T>& ids, typename IdWalk<T>::Show show) : world_(world), ids_(ids), show_(show) {}
  Result<std::unique_ptr<IterWalk>> walk(Task&) override { return std::make_unique<IdWalk<T>>(world_, ids_, show_); }

 private:
  IterWorld& world_;
  IdSpace<T>& ids_;
  typename IdWalk<T>::Show show_;
};

}  // namespace

Result<std::unique_ptr<IterSubject>> bpf_map_subject(const IterRequest& request) {
  return std::make_unique<IdSubject<MapObject>>(
      request.world, request.world.maps,
      [](BpfObjects& objects, const std::shared_ptr<MapObject>& map) { return objects.map(*map, map.use_count()); });
}

Result<std::unique_ptr<IterSubject>> bpf_prog_subject(const IterRequest& request) {
  return std::make_unique<IdSubject<Program>>(
      request.world, request.world.programs,
      [](BpfObjects& objects, const std::shared_ptr<Program>& program) { return objects.program(*program); });
}

Result<std::unique_ptr<IterSubject>> bpf_link_subject(const IterRequest& request) {
  return std::make_unique<IdSubject<Link>>(
      request.world, request.world.links,
      [](BpfObjects& objects, const std::shared_ptr<Link>& link) { return objects.link(*link); });
}

}  // namespace bpfemu
