// SPDX-License-Identifier: Apache-2.0
// CO-RE: what a place of a type in a program's BTF is in the kernel's (kernel: bpf_core_calc_relo_insn). Loaders do
// that themselves; light skeletons leave it to the kernel.
#pragma once

#include <linux/bpf.h>

#include <optional>
#include <vector>

#include "emu/btf/btf.h"

namespace bpfemu {

// What to put into an instruction instead of what the compiler did.
struct CoreValue {
  u64 original = 0, value = 0;
  bool poison = false;              // the kernel has no such thing: the instruction must not be reached
  bool check = true;                // the instruction must hold `original`
  bool bad_resize = false;          // a load or store of the field cannot take the other size
  u32 original_size = 0, size = 0;  // of the field, where a load or store follows it
};

class CoreRelocator {
 public:
  CoreRelocator(const Btf& local, const Btf& target) : local_(local), target_(target) {}

  // EINVAL: the relocation makes no sense, or is ambiguous; EOPNOTSUPP: its kind is not known here.
  Result<CoreValue> resolve(const bpf_core_relo& relo);
  // Types of the kernel that have the local type's name but for a flavour behind "___" (kernel: bpf_core_find_cands).
  const std::vector<u32>& candidates(u32 local_id);

 private:
  // A step of the way to a field: a member of a struct by its name, or an element of an array.
  struct Step {
    u32 type = 0, index = 0;
    const char* name = nullptr;  // null: an element
  };
  struct Place {
    const Btf* btf = nullptr;
    u32 root = 0;
    u64 bit_offset = 0;
    std::vector<Step> steps;
  };
  Result<Place> parse(const bpf_core_relo& relo) const;
  Result<Place> parse_field(const bpf_core_relo& relo, const std::vector<u32>& path) const;
  // The same place of a candidate; none: it has no such.
  Result<std::optional<Place>> match(const Place& local, u32 kind, u32 candidate) const;
  Result<std::optional<Place>> match_field(const Place& local, u32 candidate) const;
  std::optional<Place> match_enumerator(const Place& local, u32 candidate) const;
  // Finds the member in a struct and in what it holds without a name. The member's type, 0: there is none.
  Result<u32> match_member(const Step& member, u32 structure, Place& place, u32 depth) const;
  Result<bool> fields_fit(u32 local_id, u32 target_id) const;
  Result<bool> types_fit(u32 local_id, u32 target_id, int level) const;
  Result<CoreValue> value(u32 kind, const Place& local, const Place* target) const;

  const Btf &local_, &target_;
  std::vector<std::pair<u32, std::vector<u32>>> known_;  // candidates by local type
};

}  // namespace bpfemu
