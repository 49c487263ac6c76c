// SPDX-License-Identifier: Apache-2.0
// What iterators over one map have in common: what their links say.
#pragma once

#include <fmt/format.h>

#include "emu/iter/targets.h"

namespace bpfemu {

template <class Walk>
class MapSubject : public IterSubject {
 public:
  MapSubject(IterWorld& world, std::shared_ptr<MapObject> map) : world_(world), map_(std::move(map)) {}
  Result<std::unique_ptr<IterWalk>> walk(Task&) override { return std::make_unique<Walk>(world_, map_); }
  void fill_info(bpf_link_info& info) const override { info.iter.map.map_id = map_->id(); }
  std::string fdinfo() const override { return fmt::format("map_id:\t{}\n", map_->id()); }

 private:
  IterWorld& world_;
  std::shared_ptr<MapObject> map_;  // as user space holds it
};

}  // namespace bpfemu
