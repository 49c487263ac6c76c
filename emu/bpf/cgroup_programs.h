// SPDX-License-Identifier: Apache-2.0
// Programs that are attached to cgroups, and the rules of who may be attached below whom (kernel: kernel/bpf/cgroup.c).
#pragma once

#include <list>
#include <map>
#include <memory>
#include <vector>

#include "emu/bpf/link.h"

namespace bpfemu {

class Cgroup;
class CgroupLink;

// One attachment: of a program itself, or of a link's.
struct CgroupProgram {
  std::shared_ptr<Program> program;  // null with a link
  CgroupLink* link = nullptr;
  u64 storage[2] = {};  // values of the cgroup, in the arena: shared, of the first CPU

  const std::shared_ptr<Program>& runs() const;
};

// Those of one attach type in one cgroup.
struct CgroupAttachments {
  std::list<CgroupProgram> programs;
  u32 flags = 0;  // BPF_F_ALLOW_OVERRIDE or _MULTI, of all of them
};
// By the place where they run (kernel: enum cgroup_bpf_attach_type): the attach type; of BPF_LSM_CGROUP, kLsmPlaces and
// the number of the hook.
using CgroupPrograms = std::map<u32, CgroupAttachments>;
inline constexpr u32 kLsmPlaces = 64, kMostLsmPlaces = 10;  // kernel: CGROUP_LSM_NUM

class CgroupLink : public Link {
 public:
  CgroupLink(std::shared_ptr<Program> program, u32 attach_type, u32 place)
      : Link(BPF_LINK_TYPE_CGROUP, std::move(program)), attach_type_(attach_type), place_(place) {}
  ~CgroupLink() override { leave(); }
  void fill_info(bpf_link_info& info, std::string& name) const override;
  std::string fdinfo() const override;
  Result<void> detach() override;
  // ENOLINK once its cgroup has gone (kernel: cgroup_bpf_replace).
  Result<void> update(std::shared_ptr<Program> program, u32 flags, std::shared_ptr<Program> old) override;

  u32 attach_type() const { return attach_type_; }
  Result<void> join(std::shared_ptr<Cgroup> cgroup);  // kernel: cgroup_bpf_link_attach
  void orphan() { cgroup_.reset(); }                  // the cgroup is removed

 private:
  void leave();

  u32 attach_type_, place_;
  std::shared_ptr<Cgroup> cgroup_;
};

struct CgroupAttach {
  u32 type = 0, place = 0, flags = 0;
  std::shared_ptr<Program> program = {}, replaces = {};
  CgroupLink* link = nullptr;
};
// EINVAL, EPERM: not under these flags, or not below what is attached above; E2BIG, ENOENT, ENOMEM.
Result<void> attach_to_cgroup(Cgroup& cgroup, const CgroupAttach& attach);
// `program` null: whatever is there, where there can be one alone. EINVAL, ENOENT.
Result<void> detach_from_cgroup(Cgroup& cgroup, u32 place, const Program* program, const CgroupLink* link = nullptr);
// What runs for the cgroup, in order: its own, then those of its ancestors which allow that.
std::vector<CgroupProgram> effective_programs(const Cgroup& cgroup, u32 place);
// Is any attached there, to this cgroup or one below?
bool has_programs(const Cgroup& cgroup, u32 place);
// The cgroup goes: its programs are let go, links stay without one, values end.
void release_programs(Cgroup& cgroup);

}  // namespace bpfemu
