// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/cgroup_programs.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "emu/bpf/cgroup.h"
#include "emu/runtime/maps/cgroup_storage.h"

namespace bpfemu {

namespace {

constexpr u32 kKinds = BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI;
constexpr size_t kMostPrograms = 64;  // BPF_CGROUP_MAX_PROGS

using Programs = std::list<CgroupProgram>;

const CgroupAttachments* attachments(const Cgroup& cgroup, u32 place) {
  const auto it = cgroup.programs.find(place);
  return it == cgroup.programs.end() ? nullptr : &it->second;
}

// Kernel: hierarchy_allows_attach. The nearest cgroup above that has one says.
bool hierarchy_allows(const Cgroup& cgroup, u32 place) {
  for (const Cgroup* each = cgroup.parent().get(); each; each = each->parent().get()) {
    const CgroupAttachments* const there = attachments(*each, place);
    if (!there) continue;
    if (there->flags & BPF_F_ALLOW_MULTI) return true;
    if (!there->programs.empty()) return there->flags & BPF_F_ALLOW_OVERRIDE;
  }
  return true;
}

// Kernel: find_attach_entry. What the new one takes the place of; the end: nothing.
Result<Programs::iterator> place_of(Programs& programs, const CgroupAttach& attach) {
  if (!(attach.flags & BPF_F_ALLOW_MULTI)) return programs.begin();
  for (const CgroupProgram& each : programs) {
    if (attach.program && each.program == attach.program && attach.program != attach.replaces) return fail(EINVAL);
    if (attach.link && each.link == attach.link) return fail(EINVAL);
  }
  if (!attach.replaces) return programs.end();
  const auto replaced = std::ranges::find(programs, attach.replaces, &CgroupProgram::program);
  if (replaced == programs.end()) return fail(ENOENT);
  return replaced;
}

// Maps with values of cgroups (kernel: bpf_prog_aux::cgroup_storage).
std::set<const Map*> storage_maps(const Program& program) {
  std::set<const Map*> maps;
  for (const auto& map : program.verified.used_maps)
    if (has_trait(map->map(), kCgroupStorage)) maps.insert(&map->map());
  return maps;
}

// The values that the program has for the cgroup (kernel: bpf_cgroup_storages_alloc): ENOMEM.
Result<void> find_storage(const Cgroup& cgroup, u32 type, CgroupProgram& entry) {
  for (const auto& map : entry.runs()->verified.used_maps) {
    if (!has_trait(map->map(), kCgroupStorage)) continue;
    void* const value = cgroup_storage_of(map->map(), cgroup.id(), type);
    if (!value) return fail(ENOMEM);
    entry.storage[map->map().type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE] = reinterpret_cast<u64>(value);
  }
  return {};
}

}  // namespace

const std::shared_ptr<Program>& CgroupProgram::runs() const {
  return link ? link->program() : program;
}

Result<void> attach_to_cgroup(Cgroup& cgroup, const CgroupAttach& attach) {
  const bool replaces = attach.flags & BPF_F_REPLACE, multi = attach.flags & BPF_F_ALLOW_MULTI;
  if ((attach.flags & kKinds) == kKinds || (replaces && !multi)) return fail(EINVAL);
  if (replaces != (attach.replaces != nullptr)) return fail(EINVAL);
  const u32 kind = attach.flags & kKinds;
  if (!hierarchy_allows(cgroup, attach.place)) return fail(EPERM);
  CgroupAttachments& there = cgroup.programs[attach.place];
  if (!there.programs.empty() && there.flags != kind) return fail(EPERM);
  if (there.programs.size() >= kMostPrograms) return fail(E2BIG);
  const auto place = TRY(place_of(there.programs, attach));
  CgroupProgram entry{.program = attach.program, .link = attach.link};
  TRY(find_storage(cgroup, attach.type, entry));
  there.flags = kind;
  if (place != there.programs.end()) {
    *place = std::move(entry);
  } else {
    there.programs.push_back(std::move(entry));
  }
  return {};
}

Result<void> detach_from_cgroup(Cgroup& cgroup, u32 place, const Program* program, const CgroupLink* link) {
  CgroupAttachments& there = cgroup.programs[place];
  auto found = there.programs.begin();
  if (there.flags & BPF_F_ALLOW_MULTI) {
    if (!program && !link) return fail(EINVAL);
    found = std::ranges::find_if(
        there.programs, [&](const CgroupProgram& each) { return each.program.get() == program && each.link == link; });
  }
  if (found == there.programs.end()) return fail(ENOENT);
  there.programs.erase(found);
  if (there.programs.empty()) there.flags = 0;
  return {};
}

std::vector<CgroupProgram> effective_programs(const Cgroup& cgroup, u32 place) {
  std::vector<CgroupProgram> programs;
  for (const Cgroup* each = &cgroup; each; each = each->parent().get()) {
    const CgroupAttachments* const there = attachments(*each, place);
    if (!there || (!programs.empty() && !(there->flags & BPF_F_ALLOW_MULTI))) continue;
    programs.insert(programs.end(), there->programs.begin(), there->programs.end());
  }
  return programs;
}

bool has_programs(const Cgroup& cgroup, u32 place) {
  const CgroupAttachments* const there = attachments(cgroup, place);
  return (there && !there->programs.empty()) ||
         std::ranges::any_of(cgroup.children, [=](const auto& child) { return has_programs(*child.second, place); });
}

void release_programs(Cgroup& cgroup) {
  for (auto& [type, there] : std::exchange(cgroup.programs, {}))
    for (const CgroupProgram& each : there.programs)
      if (each.link) each.link->orphan();
}

void CgroupLink::fill_info(bpf_link_info& info, std::string&) const {
  info.cgroup.cgroup_id = cgroup_ ? cgroup_->id() : 0;
  info.cgroup.attach_type = attach_type_;
}

std::string CgroupLink::fdinfo() const {
  return fmt::format("cgroup_id:\t{}\nattach_type:\t{}\n", cgroup_ ? cgroup_->id() : 0, attach_type_);
}

void CgroupLink::leave() {
  if (cgroup_) (void)detach_from_cgroup(*cgroup_, place_, nullptr, this);
  cgroup_.reset();
}

Result<void> CgroupLink::detach() {
  leave();
  return {};
}

Result<void> CgroupLink::join(std::shared_ptr<Cgroup> cgroup) {
  TRY(attach_to_cgroup(*cgroup, {.type = attach_type_, .place = place_, .flags = BPF_F_ALLOW_MULTI, .link = this}));
  cgroup_ = std::move(cgroup);
  return {};
}

Result<void> CgroupLink::update(std::shared_ptr<Program> program, u32, std::shared_ptr<Program> old) {
  if (!cgroup_) return fail(ENOLINK);
  if (old && old != program_) return fail(EPERM);
  if (program->type != program_->type) return fail(EINVAL);
  if (program->attach_btf_id != program_->attach_btf_id) return fail(ENOENT);
  if (storage_maps(*program) != storage_maps(*program_)) return fail(EINVAL);
  program_ = std::move(program);
  for (CgroupProgram& each : cgroup_->programs[place_].programs)
    if (each.link == this) TRY(find_storage(*cgroup_, attach_type_, each));
  return {};
}

}  // namespace bpfemu
