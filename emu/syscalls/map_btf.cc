// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/map_btf.h"

#include <linux/bpf.h>

#include <algorithm>
#include <functional>
#include <string_view>

#include "emu/runtime/helpers/helpers.h"
#include "emu/syscalls/bpf.h"

namespace bpfemu {

namespace {

// One member of a struct or variable of a data section: its type and byte offset.
struct Part {
  u32 type_id;
  u32 bit_offset;
  u32 size;  // of a variable; 0 for members
};

std::vector<Part> parts_of(const Btf& btf, const btf_type& type) {
  std::vector<Part> parts;
  u32 kind = Btf::kind(type);
  if (kind == BTF_KIND_STRUCT) {
    for (auto& member : btf.members(type)) parts.push_back({member.type, Btf::member_bit_offset(type, member), 0});
  } else if (kind == BTF_KIND_DATASEC) {
    auto* variables = reinterpret_cast<const btf_var_secinfo*>(&type + 1);
    for (u32 i = 0; i < Btf::vlen(type); ++i) {
      const btf_type* variable = btf.type(variables[i].type);
      if (variable) parts.push_back({variable->type, variables[i].offset * 8, variables[i].size});
    }
  }
  return parts;
}

// The offset of the one member that is `struct name` of `size` bytes (kernel: btf_find_field). EINVAL: a misaligned one, or
// the value cannot have any; ENOENT, E2BIG: there is none, there are several. The kernel then takes the value for one without.
Result<u32> find_struct(const Btf& btf, const btf_type& value, std::string_view name, u32 size, u32 align) {
  if (Btf::kind(value) != BTF_KIND_STRUCT && Btf::kind(value) != BTF_KIND_DATASEC) return fail(EINVAL);
  Result<u32> found = fail(ENOENT);
  for (const Part& part : parts_of(btf, value)) {
    const btf_type* type = btf.type(part.type_id);
    if (!type || btf.type_name(part.type_id) != name || (part.size && part.size != size)) continue;
    if (part.bit_offset % (align * 8) != 0) return fail(EINVAL);
    if (Btf::kind(*type) != BTF_KIND_STRUCT || type->size != size) continue;
    if (found) return fail(E2BIG);
    found = part.bit_offset / 8;
  }
  return found;
}

// A pointer tagged kptr or kptr_ref and what it points to, as names; none: not such a pointer (kernel: btf_find_kptr,
// btf_parse_kptrs). EINVAL, ENOENT: another tag, several, or what programs cannot own.
Result<std::optional<KptrField>> find_kptr(const Btf& btf, const Part& part, const std::shared_ptr<const Btf>& vmlinux) {
  const btf_type* pointer = btf.type(part.type_id);
  const btf_type* tag = pointer && Btf::kind(*pointer) == BTF_KIND_PTR ? btf.type(pointer->type) : nullptr;
  if (!tag || Btf::kind(*tag) != BTF_KIND_TYPE_TAG) return std::nullopt;
  const btf_type* tagged = btf.type(tag->type);
  if (tagged && Btf::kind(*tagged) == BTF_KIND_TYPE_TAG) return fail(EINVAL);
  std::string_view tag_name = btf.type_name(pointer->type);
  if (tag_name != "kptr" && tag_name != "kptr_ref") return fail(EINVAL);
  u32 target_id = 0;
  const btf_type* target = btf.skip_modifiers(tag->type, &target_id);
  if (!target || Btf::kind(*target) != BTF_KIND_STRUCT || !vmlinux) return fail(EINVAL);
  const u32 kernel_id = TRY(vmlinux->find(btf.type_name(target_id), BTF_KIND_STRUCT));
  const bool referenced = tag_name == "kptr_ref";
  const auto destructor = referenced ? kptr_destructor(btf.type_name(target_id)) : nullptr;
  if (referenced && !destructor) return fail(ENOENT);
  return KptrField{.offset = part.bit_offset / 8,
                   .referenced = referenced,
                   .btf = vmlinux,
                   .btf_id = kernel_id,
                   .destructor = destructor};
}

// All of them, or none when the kernel finds fault with any member: it then takes the map for one without
// (map_value_has_kptrs of an error). Every member of a struct must lie at a multiple of 8, pointer or not.
std::vector<KptrField> find_kptrs(const Btf& btf, const btf_type& value, const std::shared_ptr<const Btf>& vmlinux) {
  constexpr u32 kPointer = sizeof(u64);
  std::vector<KptrField> fields;
  for (const Part& part : parts_of(btf, value)) {
    if (part.size && part.size != kPointer) continue;
    if (part.bit_offset % (kPointer * 8) != 0) return {};
    auto field = find_kptr(btf, part, vmlinux);
    if (!field) return {};
    if (*field) fields.push_back(**field);
  }
  return fields.size() > kMaxKptrs ? std::vector<KptrField>() : fields;
}

bool is_int(const Btf& btf, u32 id, u32 bits) {
  const btf_type* type = btf.type(id);
  if (!type || Btf::kind(*type) != BTF_KIND_INT) return false;
  u32 encoding = *reinterpret_cast<const u32*>(type + 1);
  return BTF_INT_BITS(encoding) == bits && BTF_INT_OFFSET(encoding) == 0;
}
bool is_u32(const Btf& btf, u32 id) { return is_int(btf, id, 32); }

// struct bpf_cgroup_storage_key, or its first member alone (kernel: cgroup_storage_check_btf).
bool is_cgroup_key(const Btf& btf, const btf_type* key, u32 id, u32 size) {
  if (size == sizeof(u64)) return is_int(btf, id, 64);
  if (!key || Btf::kind(*key) != BTF_KIND_STRUCT || Btf::vlen(*key) != 2) return false;
  constexpr u32 kBits[] = {64, 32}, kOffsets[] = {0, 64};
  for (u32 i = 0; i < 2; ++i) {
    const btf_member& member = btf.members(*key)[i];
    u32 type = 0;
    if (!btf.skip_modifiers(member.type, &type) || !is_int(btf, type, kBits[i])) return false;
    if (Btf::member_bit_offset(*key, member) != kOffsets[i]) return false;
  }
  return true;
}

// The type's own rule (kernel: map_check_btf of bpf_map_ops).
Result<void> check_type_rule(const MapObject& map, const Btf& btf, u32 key_id, const btf_type& value) {
  u32 resolved = 0;
  const btf_type* key = btf.skip_modifiers(key_id, &resolved);
  bool good = true;
  switch (map.ops().btf) {
    case BtfRule::kAny: good = key_id != 0; break;
    case BtfRule::kNone: return fail(ENOTSUPP);
    case BtfRule::kArrayIndex:
      // .bss, .data and .rodata have no key type.
      good = key_id ? is_u32(btf, resolved)
                    : map.map().type == BPF_MAP_TYPE_ARRAY && map.map().max_entries == 1 &&
                          Btf::kind(value) == BTF_KIND_DATASEC;
      break;
    case BtfRule::kIntKey: good = key_id && is_u32(btf, resolved); break;
    case BtfRule::kNoKey: good = key_id == 0; break;
    case BtfRule::kCgroupKey: good = is_cgroup_key(btf, key, resolved, map.map().key_size); break;
    case BtfRule::kStruct: good = key && Btf::kind(*key) == BTF_KIND_STRUCT; break;
  }
  return good ? Result<void>{} : fail(EINVAL);
}

}  // namespace

Result<void> check_map_btf(MapObject& map, const std::shared_ptr<const Btf>& btf, u32 key_id, u32 value_id,
                           const std::shared_ptr<const Btf>& vmlinux, bool capable) {
  const Map& m = map.map();
  if (key_id) {
    auto size = btf->size_of(key_id);
    if (!size || *size != m.key_size) return fail(EINVAL);
  } else if (map.ops().btf == BtfRule::kAny) {
    return fail(EINVAL);
  }
  auto size = btf->size_of(value_id);
  const btf_type* value = btf->skip_modifiers(value_id);
  if (!size || !value || *size != m.value_size) return fail(EINVAL);

  map.spin_lock_offset = find_struct(*btf, *value, "bpf_spin_lock", sizeof(bpf_spin_lock), alignof(bpf_spin_lock));
  if (map.spin_lock_offset) {
    if (m.flags & BPF_F_RDONLY_PROG) return fail(EACCES);
    if (!has_trait(m, kSpinLock)) return fail(ENOTSUPP);
  }
  map.timer_offset = find_struct(*btf, *value, "bpf_timer", sizeof(bpf_timer), alignof(bpf_timer));
  if (map.timer_offset) {
    if (m.flags & BPF_F_RDONLY_PROG) return fail(EACCES);
    if (!has_trait(m, kTimer)) return fail(EOPNOTSUPP);
  }
  map.kptrs = find_kptrs(*btf, *value, vmlinux);
  if (!map.kptrs.empty()) {
    if (!capable) return fail(EPERM);
    if (m.flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) return fail(EACCES);
    if (!has_trait(m, kKptr)) return fail(EOPNOTSUPP);
  }
  return check_type_rule(map, *btf, key_id, *value);
}

}  // namespace bpfemu
