// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/cgroup_lsm.h"

#include <algorithm>

#include "emu/probe/trampoline.h"
#include "emu/syscalls/cgroup_run.h"

namespace bpfemu {

Result<u32> CgroupLsm::place_of(u32 btf_id) {
  let_go_unused();
  const auto known = find(btf_id);
  return known ? known : find(0);
}

Result<u32> CgroupLsm::find(u32 btf_id) const {
  const auto hook = std::ranges::find(hooks_, btf_id, &Hook::btf_id);
  if (hook == hooks_.end()) return fail(EINVAL);
  return kLsmPlaces + static_cast<u32>(hook - hooks_.begin());
}

void CgroupLsm::let_go_unused() {
  for (u32 n = 0; n < kMostLsmPlaces; ++n)
    if (hooks_[n].btf_id && !has_programs(*system_.cgroups.root(), kLsmPlaces + n)) hooks_[n] = {};
}

Result<u32> CgroupLsm::place_for(const Program& program) {
  let_go_unused();
  if (auto known = find(program.attach_btf_id)) return known;
  const u32 place = TRY(find(0));
  auto where = TRY(trampoline_place(*system_.probes, program));
  if (!where) return fail(EOPNOTSUPP);
  where->runs = [this, place](RunScope& scope, const Event& event, void* context) -> u64 {
    if (!event.task) return 0;
    const std::shared_ptr<Cgroup> cgroup = system_.cgroups.of(event.task->tid());
    return static_cast<u64>(run_programs(scope, held_programs(*cgroup, place), context));
  };
  hooks_[place - kLsmPlaces] = {program.attach_btf_id, std::make_unique<Point>(*system_.probes, std::move(*where))};
  return place;
}

}  // namespace bpfemu
