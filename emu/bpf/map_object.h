// SPDX-License-Identifier: Apache-2.0
// The control plane's half of a map: name, BTF, ownership and what its elements refer to. The other half, struct Map,
// is in the arena where programs work on it.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/base/object.h"
#include "emu/btf/btf.h"
#include "emu/runtime/maps/map.h"

namespace bpfemu {

// Special fields inside a map value that BTF declares (kernel: struct bpf_map's spin_lock_off, timer_off, kptr_off_tab).
struct KptrField {
  u32 offset;
  bool referenced;               // type tag kptr_ref
  std::shared_ptr<const Btf> btf;
  u32 btf_id;
  HelperFn destructor = nullptr; // releases it, of a referenced one
};

class MapObject : public Object {
 public:
  // Creates the arena half from checked attributes. ENOMEM.
  static Result<std::shared_ptr<MapObject>> create(Arena& arena, const MapAttr& attr, const MapOps& ops);
  ~MapObject() override;

  u64 runtime_address() const override { return reinterpret_cast<u64>(map_); }
  Map& map() const { return *map_; }
  const MapOps& ops() const { return *ops_; }
  Extent extent() const { return extent_; }
  // Tells the arena half about the special fields below, once they are known: copies of values leave them alone.
  void set_value_fields();

  std::string name;
  std::shared_ptr<const Btf> btf;
  u32 btf_key_type_id = 0, btf_value_type_id = 0, btf_vmlinux_value_type_id = 0;
  // EINVAL: the value is no struct, or not described; ENOENT: it has none; E2BIG: several.
  Result<u32> spin_lock_offset = fail(EINVAL), timer_offset = fail(EINVAL);
  std::vector<KptrField> kptrs;
  bool frozen = false;
  u32 changes = 0;                                   // of elements by bpf(), until processes make them by themselves
  u32 writers = 0;                                   // writable mmaps (kernel: writecnt)
  std::weak_ptr<void> user_hold;                     // descriptors and pins (kernel: usercnt)
  std::shared_ptr<MapObject> inner_template;         // map-in-map: what an inner map must look like
  std::map<u32, std::shared_ptr<Object>> elements;   // what fd-valued elements (prog, perf event, map, cgroup) hold
  std::multimap<u64, std::shared_ptr<Object>> hashed_elements;  // the same of a hash of maps, by arena address
  std::map<u32, std::shared_ptr<Object>> socket_programs;  // of a map of sockets, by attach type (kernel: sk_psock_progs)
  u32 crowded = kFewSockets;  // with so many values of sockets the closed ones are looked for
  static constexpr u32 kFewSockets = 1024;
  // Of maps whose elements are programs: what all of them must have in common, fixed by the first (kernel: map->owner).
  struct Owner {
    u32 type = 0;
    bool xdp_has_frags = false;
    u32 expected_attach_type = 0;
    const void* attach_proto = nullptr;  // the BTF prototype of what the program is attached to
    u32 storages[2] = {};                // ids of its cgroup storage maps: shared, per CPU
  };
  std::optional<Owner> owner;

 private:
  MapObject() : Object(ObjectKind::kMap) {}
  Arena* arena_ = nullptr;
  Extent extent_;
  u64 committed_ = 0;
  Map* map_ = nullptr;
  const MapOps* ops_ = nullptr;
};

}  // namespace bpfemu
