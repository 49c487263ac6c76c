// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/cgroup_objects.h"

#include <fmt/format.h>

namespace bpfemu {

KernelObject cgroup_object(ObjectSpace& space, const Cgroup& of) {
  bool is_new = false;
  const std::string identity = fmt::format("{}", of.id());
  const KernelObject cgroup = space.object(space.structure("cgroup"), identity);
  const KernelObject node = space.object(space.structure("kernfs_node"), identity, &is_new);
  if (!is_new) return cgroup;
  cgroup.set("kn", node.address());
  cgroup.set("level", s32(of.level()));
  cgroup.set("self.cgroup", cgroup.address());
  node.set("id", of.id());
  node.set("name", space.text(of.name()));
  if (!of.parent()) return cgroup;
  const KernelObject above = cgroup_object(space, *of.parent());
  const KernelObject above_node = space.object(space.structure("kernfs_node"), fmt::format("{}", of.parent()->id()));
  cgroup.set("self.parent", above.address("self"));
  node.set("parent", above_node.address());
  return cgroup;
}

u64 cgroup_id_at(ObjectSpace& space, u64 address) {
  const auto word = [&](u64 object, const char* structure, const char* member) -> u64 {
    const KernelStruct& type = space.structure(structure);
    const u64 at = space.holds(object, type.size()) ? KernelObject(object, type).address(member) : 0;
    return at ? load<u64>(reinterpret_cast<const void*>(at)) : 0;
  };
  return word(word(address, "cgroup", "kn"), "kernfs_node", "id");
}

}  // namespace bpfemu
