// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/cgroup.h"

namespace bpfemu {

std::string Cgroup::path() const {
  if (!parent_) return "/";
  std::string path;
  for (const Cgroup* each = this; each->parent_; each = each->parent_.get()) path.insert(0, "/" + each->name_);
  return path;
}

const Cgroup* Cgroup::ancestor(u32 level) const {
  if (level > level_) return nullptr;
  const Cgroup* each = this;
  while (each->level_ > level) each = each->parent_.get();
  return each;
}

u32 Cgroup::descendants() const {
  u32 count = 0;
  for (const auto& [name, child] : children) count += 1 + child->descendants();
  return count;
}

}  // namespace bpfemu
