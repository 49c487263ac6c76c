// SPDX-License-Identifier: Apache-2.0
// Which cgroups have statistics of a CPU that their parents do not know of yet (kernel: cgroup/rstat.c). That threads of a
// cgroup have run, which marks it too, is not told here.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "emu/bpf/cgroup.h"

namespace bpfemu {

class CgroupStats {
 public:
  // Marks it, and all above it (kernel: cgroup_rstat_updated).
  void updated(std::shared_ptr<Cgroup> cgroup, u32 cpu);
  // Those that are marked of `top` and all below it, which then are no longer: children before their parents, of siblings
  // the one that was marked last first (kernel: cgroup_rstat_cpu_pop_updated).
  std::vector<std::shared_ptr<Cgroup>> take(const Cgroup& top, u32 cpu);

 private:
  using Marked = std::vector<std::shared_ptr<Cgroup>>;
  static void collect(const Marked& marked, const Cgroup& top, Marked& to);

  std::map<u32, Marked> marked_;  // by CPU, in the order in which they were
};

}  // namespace bpfemu
