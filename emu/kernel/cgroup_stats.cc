// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/cgroup_stats.h"

#include <algorithm>
#include <ranges>

namespace bpfemu {

void CgroupStats::updated(std::shared_ptr<Cgroup> cgroup, u32 cpu) {
  Marked& marked = marked_[cpu];
  for (; cgroup && !std::ranges::count(marked, cgroup); cgroup = cgroup->parent()) marked.push_back(cgroup);
}

std::vector<std::shared_ptr<Cgroup>> CgroupStats::take(const Cgroup& top, u32 cpu) {
  Marked taken;
  Marked& marked = marked_[cpu];
  collect(marked, top, taken);
  std::erase_if(marked, [&](const auto& each) { return std::ranges::count(taken, each) != 0; });
  return taken;
}

void CgroupStats::collect(const Marked& marked, const Cgroup& top, Marked& to) {
  for (const auto& each : marked | std::views::reverse)
    if (each->parent().get() == &top) collect(marked, *each, to);
  const auto itself = std::ranges::find(marked, &top, [](const auto& each) { return each.get(); });
  if (itself != marked.end()) to.push_back(*itself);
}

}  // namespace bpfemu
