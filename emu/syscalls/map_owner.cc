// SPDX-License-Identifier: Apache-2.0
// Which programs may share a map of programs: one may come to run in the place of another.
#include <algorithm>

#include "emu/syscalls/map_elements.h"

namespace bpfemu {

namespace {

// The prototype of what a tracing, LSM, freplace or struct_ops program is attached to (kernel: attach_func_proto).
const btf_type* attach_proto(const Program& program) {
  const Btf* btf = program.attach_program ? program.attach_program->btf.get() : program.attach_btf.get();
  const btf_type* type = btf && program.attach_btf_id ? btf->type(program.attach_btf_id) : nullptr;
  if (type && Btf::kind(*type) == BTF_KIND_STRUCT) {
    auto members = btf->members(*type);
    if (program.expected_attach_type >= members.size()) return nullptr;
    type = btf->type(members[program.expected_attach_type].type);
  }
  // A function, a typedef of a pointer to a prototype (raw tracepoints), or such a pointer.
  auto leads_on = [](u32 kind) { return kind == BTF_KIND_FUNC || kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_PTR; };
  while (type && leads_on(Btf::kind(*type))) type = btf->type(type->type);
  return type && Btf::kind(*type) == BTF_KIND_FUNC_PROTO ? type : nullptr;
}

MapObject::Owner facts_of(const Program& program) {
  // A replacement runs as what it replaces (kernel: resolve_prog_type).
  bool replaces = program.type == BPF_PROG_TYPE_EXT && program.target_type;
  MapObject::Owner facts{.type = replaces ? program.target_type : program.type,
                         .xdp_has_frags = program.xdp_has_frags,
                         .expected_attach_type = program.expected_attach_type,
                         .attach_proto = attach_proto(program)};
  for (auto& map : program.verified.used_maps) {
    if (!has_trait(map->map(), kCgroupStorage)) continue;
    facts.storages[map->map().type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE] = map->id();
  }
  return facts;
}

bool has_tail_call(const Program& program) {
  const Insns& insns = program.verified.insns;
  return std::any_of(insns.begin(), insns.end(), [](const Insn& insn) { return insn.code == kTailCall; });
}

bool is_trampoline_type(u32 type) {
  return type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_LSM || type == BPF_PROG_TYPE_EXT ||
         type == BPF_PROG_TYPE_STRUCT_OPS;
}

}  // namespace

bool owner_fits(MapObject& map, const Program& program) {
  MapObject::Owner facts = facts_of(program);
  if (!map.owner) {
    map.owner = facts;
    return true;
  }
  const MapObject::Owner& owner = *map.owner;
  if (owner.type != facts.type || owner.xdp_has_frags != facts.xdp_has_frags) return false;
  bool array = map.map().type == BPF_MAP_TYPE_PROG_ARRAY;
  if (array && owner.expected_attach_type != facts.expected_attach_type) return false;
  for (u32 i = 0; i < std::size(facts.storages); ++i) {
    bool needs_none = !facts.storages[i] && !has_tail_call(program);
    if (owner.storages[i] != facts.storages[i] && !needs_none) return false;
  }
  return owner.attach_proto == facts.attach_proto || !is_trampoline_type(facts.type);
}

}  // namespace bpfemu
