// SPDX-License-Identifier: Apache-2.0
// A cgroup: its place in the hierarchy of version 2, and the programs that are attached to it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "emu/base/types.h"
#include "emu/bpf/cgroup_programs.h"

namespace bpfemu {

class Cgroup {
 public:
  // No parent: the root.
  Cgroup(u64 id, std::string name, std::shared_ptr<Cgroup> parent)
      : id_(id), level_(parent ? parent->level_ + 1 : 0), name_(std::move(name)), parent_(std::move(parent)) {}

  u64 id() const { return id_; }  // kernel: cgroup_id, the inode of its folder
  u32 level() const { return level_; }
  const std::string& name() const { return name_; }
  const std::shared_ptr<Cgroup>& parent() const { return parent_; }
  // From the root: "/a/b", "/" for the root itself.
  std::string path() const;
  // Itself or one above, null below its own level (kernel: cgroup_ancestor).
  const Cgroup* ancestor(u32 level) const;
  // Is it `other`, or below it (kernel: cgroup_is_descendant)?
  bool is_under(const Cgroup& other) const { return ancestor(other.level_) == &other; }
  u32 descendants() const;

  std::map<std::string, std::shared_ptr<Cgroup>, std::less<>> children;
  CgroupPrograms programs;
  s64 max_descendants = -1, max_depth = -1;  // -1: "max"
  bool dead = false;                         // removed, though somebody may still hold it

 private:
  u64 id_;
  u32 level_;
  std::string name_;
  std::shared_ptr<Cgroup> parent_;
};

}  // namespace bpfemu
