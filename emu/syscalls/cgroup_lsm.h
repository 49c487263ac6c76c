// SPDX-License-Identifier: Apache-2.0
// LSM programs that belong to cgroups (BPF_LSM_CGROUP): each hook that has any calls, once, those of the task's cgroup
// (kernel: the cgroup shim of a trampoline). 6.1 never takes the socket's: bpf_lsm_find_cgroup_shim() compares the id of
// the argument's pointer with those of the structs.
#pragma once

#include <array>
#include <memory>

#include "emu/syscalls/system.h"

namespace bpfemu {

class CgroupLsm {
 public:
  explicit CgroupLsm(System& system) : system_(system) {}

  // The place among a cgroup's programs for those of the program's hook, which calls them from now on: EINVAL, so many
  // hooks have programs already; ENOTSUPP; EOPNOTSUPP, the hook is not modelled.
  Result<u32> place_for(const Program& program);
  // The place where those of the hook are already, else one where none are (kernel: bpf_cgroup_atype_find). EINVAL.
  Result<u32> place_of(u32 btf_id);

 private:
  struct Hook {
    u32 btf_id = 0;  // 0: none
    std::unique_ptr<Point> point;
  };
  Result<u32> find(u32 btf_id) const;
  void let_go_unused();

  System& system_;
  std::array<Hook, kMostLsmPlaces> hooks_;
};

}  // namespace bpfemu
