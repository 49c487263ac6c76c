// SPDX-License-Identifier: Apache-2.0
// cgroup: a cgroup, with those below or above it.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "emu/iter/targets.h"
#include "emu/kernel/cgroup_objects.h"
#include "emu/kernel/cgroups.h"

namespace bpfemu {

namespace {

using CgroupRef = std::shared_ptr<Cgroup>;

// In the order in which they were made.
std::vector<CgroupRef> children_of(const Cgroup& cgroup) {
  std::vector<CgroupRef> children;
  for (const auto& [name, child] : cgroup.children) children.push_back(child);
  std::ranges::sort(children, {}, [](const CgroupRef& each) { return each->id(); });
  return children;
}

// Kernel: css_next_descendant_pre, css_next_descendant_post.
void list(const CgroupRef& cgroup, u32 order, std::vector<CgroupRef>& to) {
  if (order == BPF_CGROUP_ITER_DESCENDANTS_PRE) to.push_back(cgroup);
  for (const CgroupRef& child : children_of(*cgroup)) list(child, order, to);
  if (order == BPF_CGROUP_ITER_DESCENDANTS_POST) to.push_back(cgroup);
}

std::vector<CgroupRef> walked(const CgroupRef& start, u32 order) {
  std::vector<CgroupRef> cgroups;
  switch (order) {
    case BPF_CGROUP_ITER_SELF_ONLY: return {start};
    case BPF_CGROUP_ITER_ANCESTORS_UP:
      for (CgroupRef each = start; each; each = each->parent()) cgroups.push_back(each);
      return cgroups;
    default: list(start, order, cgroups); return cgroups;
  }
}

// It does not go on where a read has ended (kernel: cgroup_iter_seq_start).
class CgroupWalk : public IterWalk {
 public:
  CgroupWalk(IterWorld& world, CgroupRef start, u32 order) : world_(world), start_(std::move(start)), order_(order) {}

  Result<bool> start() override {
    if (begun_) return over_ ? Result<bool>(false) : fail(EOPNOTSUPP);
    begun_ = true;
    cgroups_ = walked(start_, order_);
    return settle();
  }
  bool next() override {
    ++at_;
    return settle();
  }
  void show(std::span<u64> words, Run&) override {
    if (!over_) words[0] = cgroup_object(world_.space, *cgroups_[at_]).address();
  }
  // What a program returns ends the walk behind the cgroup.
  Result<void> returned(u64 value) override {
    ended_ |= value != 0;
    return {};
  }

 private:
  bool settle() {
    while (at_ < cgroups_.size() && cgroups_[at_]->dead) ++at_;
    over_ = ended_ || at_ >= cgroups_.size();
    return !over_;
  }

  IterWorld& world_;
  CgroupRef start_;
  u32 order_;
  std::vector<CgroupRef> cgroups_;
  size_t at_ = 0;
  bool begun_ = false, ended_ = false, over_ = false;
};

class CgroupSubject : public IterSubject {
 public:
  CgroupSubject(IterWorld& world, CgroupRef start, u32 order) : world_(world), start_(std::move(start)), order_(order) {}
  Result<std::unique_ptr<IterWalk>> walk(Task&) override {
    return std::make_unique<CgroupWalk>(world_, start_, order_);
  }
  void fill_info(bpf_link_info& info) const override {
    info.iter.cgroup.cgroup_id = start_->id();
    info.iter.cgroup.order = order_;
  }
  std::string fdinfo() const override {
    const char* const order = order_ == BPF_CGROUP_ITER_DESCENDANTS_PRE    ? "descendants_pre"
                              : order_ == BPF_CGROUP_ITER_DESCENDANTS_POST ? "descendants_post"
                              : order_ == BPF_CGROUP_ITER_ANCESTORS_UP     ? "ancestors_up"
                                                                           : "self_only";
    return fmt::format("cgroup_path:\t{}\norder: {}\n", start_->path(), order);
  }

 private:
  IterWorld& world_;
  CgroupRef start_;
  u32 order_;
};

}  // namespace

// Kernel: bpf_iter_attach_cgroup.
Result<std::unique_ptr<IterSubject>> cgroup_subject(const IterRequest& request) {
  const auto& wanted = request.info.cgroup;
  const auto order = static_cast<u32>(wanted.order);
  if (order < BPF_CGROUP_ITER_SELF_ONLY || order > BPF_CGROUP_ITER_ANCESTORS_UP) return fail(EINVAL);
  if (wanted.cgroup_fd && wanted.cgroup_id) return fail(EINVAL);
  CgroupRef start = request.world.cgroups.root();
  if (wanted.cgroup_fd) start = TRY(request.world.cgroup_of(request.task, wanted.cgroup_fd));
  if (wanted.cgroup_id) start = request.world.cgroups.find(wanted.cgroup_id);
  if (!start) return fail(ENOENT);
  return std::make_unique<CgroupSubject>(request.world, std::move(start), order);
}

}  // namespace bpfemu
