// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/cgroup_lsm.h"

#include <algorithm>
#include <string_view>

#include "emu/kernel/cgroup_objects.h"
#include "emu/probe/trampoline.h"
#include "emu/syscalls/cgroup_run.h"

namespace bpfemu {

namespace {

// Whose cgroup a hook asks (kernel: bpf_lsm_find_cgroup_shim).
enum class Whose : u8 { kTask, kSock, kSocket };

Whose whose(const Program& program) {
  const Btf& btf = *program.attach_btf;
  const std::string_view name = btf.type_name(program.attach_btf_id);
  // A sock that is just made, or goes, has none.
  if (name == "bpf_lsm_sk_alloc_security" || name == "bpf_lsm_sk_free_security") return Whose::kTask;
  const btf_type& function = *btf.type(btf.type(program.attach_btf_id)->type);
  const auto parameters = btf.params(function);
  const btf_type* type = parameters.empty() ? nullptr : btf.type(parameters.front().type);
  if (!type || BTF_INFO_KIND(type->info) != BTF_KIND_PTR) return Whose::kTask;
  const std::string_view pointed = btf.type_name(type->type) ? btf.type_name(type->type) : "";
  return pointed == "socket" ? Whose::kSocket : pointed == "sock" ? Whose::kSock : Whose::kTask;
}

// A pointer in an object of the arena's.
u64 pointer_in(ObjectSpace& space, u64 object, std::string_view type, std::string_view path) {
  const u64 at = KernelObject(object, space.structure(type)).address(path);
  return at && space.holds(at, sizeof(u64)) ? load<u64>(reinterpret_cast<const void*>(at)) : 0;
}

// Null: the socket's is not known.
std::shared_ptr<Cgroup> cgroup_for(System& system, Whose whose, const Event& event, const void* context) {
  if (whose == Whose::kTask) return system.cgroups.of(event.task->tid());
  ObjectSpace& space = *system.object_space;
  u64 sock = load<u64>(context);
  if (whose == Whose::kSocket) sock = pointer_in(space, sock, "socket", "sk");
  const u64 cgroup = sock ? pointer_in(space, sock, "sock", "sk_cgrp_data.cgroup") : 0;
  return cgroup ? system.cgroups.find(cgroup_id_at(space, cgroup)) : nullptr;
}

}  // namespace

Result<u32> CgroupLsm::place_of(u32 btf_id) {
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
  if (auto known = place_of(program.attach_btf_id)) return known;
  const u32 place = TRY(place_of(0));
  const Whose from = whose(program);
  auto where = TRY(trampoline_place(*system_.probes, program));
  if (!where) return fail(EOPNOTSUPP);
  where->runs = [this, place, from](RunScope& scope, const Event& event, void* context) -> u64 {
    const auto cgroup = event.task ? cgroup_for(system_, from, event, context) : nullptr;
    if (!cgroup) return 0;
    return static_cast<u64>(run_programs(scope, held_programs(*cgroup, place), context));
  };
  hooks_[place - kLsmPlaces] = {program.attach_btf_id, std::make_unique<Point>(*system_.probes, std::move(*where))};
  return place;
}

}  // namespace bpfemu
