// SPDX-License-Identifier: Apache-2.0
// The objects of bpf() as the kernel's own structs: bpf_map, bpf_prog with its bpf_prog_aux, bpf_link, btf. They are
// found again by their kind and id. Members that are not set are 0, among them what only the kernel itself has:
// operations, works, lists.
#pragma once

#include <functional>

#include "emu/bpf/link.h"
#include "emu/bpf/map_object.h"
#include "emu/bpf/program.h"
#include "emu/kernel/object_space.h"

namespace bpfemu {

class BpfObjects {
 public:
  explicit BpfObjects(ObjectSpace& space) : space_(space) {}

  // Each is brought up to date. `owners`: how many hold the map, where the caller knows. Null: no BTF or no memory. A map's
  // is where programs' map pointers lead.
  KernelObject map(const MapObject& map, s64 owners = 0);
  KernelObject program(const Program& program);
  KernelObject link(const Link& link);
  KernelObject btf(const Btf& btf);
  // Whichever it is; null for other kinds.
  KernelObject object(const Object& object);

 private:
  KernelObject find(const char* structure, const Object& object, bool* is_new = nullptr);
  void show_types(const KernelObject& object, const Btf& btf);

  ObjectSpace& space_;
};

}  // namespace bpfemu
