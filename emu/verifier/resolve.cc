// SPDX-License-Identifier: Apache-2.0
// 64-bit constants that stand for maps, places in map values, kernel variables and functions (kernel:
// resolve_pseudo_ldimm64). Their addresses go into the instructions at once, as the log shows them.
#include <algorithm>

#include "emu/isa/opcode.h"
#include "emu/verifier/btf_kind.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

void set_constant(Insn* insn, u64 value) {
  insn[0].imm = static_cast<s32>(value);
  insn[1].imm = static_cast<s32>(value >> 32);
}

// Is the variable in the section of per-CPU data?
bool is_per_cpu(const Btf& btf, u32 variable) {
  auto section = btf.find(".data..percpu", BTF_KIND_DATASEC);
  if (!section) return false;
  const btf_type& type = *btf.type(*section);
  auto* entries = reinterpret_cast<const btf_var_secinfo*>(&type + 1);
  return std::any_of(entries, entries + Btf::vlen(type), [&](auto& entry) { return entry.type == variable; });
}

}  // namespace

Check Checker::resolve_wide_loads() {
  for (u32 i = 0; i < insn_count(); ++i) {
    Insn& insn = insns_[i];
    if (BPF_CLASS(insn.code) == BPF_LDX && (BPF_MODE(insn.code) != BPF_MEM || insn.imm != 0)) {
      return reject(EINVAL, "BPF_LDX uses reserved fields\n");
    }
    if (!is_wide_load(insn)) {
      if (!is_known_code(insn.code)) return reject(EINVAL, "unknown opcode {:02x}\n", u32{insn.code});
      continue;
    }
    const Insn* second = i + 1 < insn_count() ? &insns_[i + 1] : nullptr;
    if (!second || second->code || second->dst_reg || second->src_reg || second->off) {
      return reject(EINVAL, "invalid bpf_ld_imm64 insn\n");
    }
    if (insn.src_reg == BPF_PSEUDO_BTF_ID) {
      TRY(resolve_variable(i));
    } else if (insn.src_reg == BPF_PSEUDO_FUNC) {
      aux_[i].ptr_type = kPtrToFunc;
    } else if (insn.src_reg != 0) {
      TRY(resolve_map(i));
    }
    ++i;
  }
  return {};
}

Check Checker::resolve_map(u32 index) {
  Insn* insn = &insns_[index];
  u32 kind = insn->src_reg;
  bool by_index = kind == BPF_PSEUDO_MAP_IDX || kind == BPF_PSEUDO_MAP_IDX_VALUE;
  bool value = kind == BPF_PSEUDO_MAP_VALUE || kind == BPF_PSEUDO_MAP_IDX_VALUE;
  if (kind > BPF_PSEUDO_MAP_IDX_VALUE || (!value && insn[1].imm != 0)) {
    return reject(EINVAL, "unrecognized bpf_ld_imm64 insn\n");
  }
  int fd = insn->imm;
  if (by_index) {
    if (!request_.fd_array) return reject(EPROTO, "fd_idx without fd_array is invalid\n");
    fd = TRY(request_.fd_array(static_cast<u32>(insn->imm)));
  }
  auto found = request_.map_by_fd(fd);
  if (!found) {
    log_.print("fd {} is not pointing to valid bpf_map\n", fd);
    return std::unexpected(found.error());
  }
  std::shared_ptr<MapObject> map = *found;
  TRY(check_map_for_program(*map));
  InsnAux& aux = aux_[index];
  u64 address = reinterpret_cast<u64>(&map->map());
  if (value) {
    u32 off = static_cast<u32>(insn[1].imm);
    if (off >= static_cast<u32>(kMaxVarOffset)) {
      return reject(EINVAL, "direct value offset of {} is not allowed\n", off);
    }
    if (!map->ops().direct_value) return reject(EINVAL, "no direct value access support for this map type\n");
    if (s64 error = map->ops().direct_value(map->map(), off, &address); error < 0) {
      return reject(static_cast<int>(-error), "invalid access to map value pointer, value_size={} off={}\n",
                    map->map().value_size, off);
    }
    aux.map_offset = off;
    address += off;
  }
  set_constant(insn, address);
  auto known = std::find(used_maps_.begin(), used_maps_.end(), map);
  aux.map_index = static_cast<u32>(known - used_maps_.begin());
  if (known != used_maps_.end()) return {};
  if (used_maps_.size() >= kUsedMapsLimit) return fail(E2BIG);
  u32 type = map->map().type;
  bool second_storage =
      has_trait(map->map(), kCgroupStorage) &&
      std::any_of(used_maps_.begin(), used_maps_.end(), [&](auto& used) { return used->map().type == type; });
  used_maps_.push_back(std::move(map));
  if (second_storage) return reject(EBUSY, "only one cgroup storage of each type is allowed\n");
  return {};
}

// A variable of the kernel (libbpf: extern ... __ksym).
Check Checker::resolve_variable(u32 index) {
  Insn* insn = &insns_[index];
  u32 id = static_cast<u32>(insn->imm);
  std::shared_ptr<const Btf> btf = world_.vmlinux;
  if (insn[1].imm) {
    auto module = request_.btf_by_fd(insn[1].imm);
    if (!module) return reject(EINVAL, "invalid module BTF object FD specified.\n");
    btf = *module;
  } else if (!btf) {
    return reject(EINVAL, "kernel is missing BTF, make sure CONFIG_DEBUG_INFO_BTF=y is specified in Kconfig.\n");
  }
  const btf_type* type = btf->type(id);
  if (!type) return reject(ENOENT, "ldimm64 insn specifies invalid btf_id {}.\n", insn->imm);
  if (Btf::kind(*type) != BTF_KIND_VAR) {
    return reject(EINVAL, "pseudo btf_id {} in ldimm64 isn't KIND_VAR.\n", insn->imm);
  }
  const char* name = btf->string(type->name_off);
  u64 address = world_.ksym ? world_.ksym(name) : 0;
  if (!address) return reject(ENOENT, "ldimm64 failed to find the address for kernel symbol '{}'.\n", name);
  bool per_cpu = is_per_cpu(*btf, id);
  set_constant(insn, address);
  InsnAux& aux = aux_[index];
  u32 resolved;
  const btf_type& target = *btf->skip_modifiers(type->type, &resolved);
  if (per_cpu || is_struct(target)) {
    aux.btf_var_type = kPtrToBtfId | (per_cpu ? kPercpu : 0);
    aux.btf_var_btf = btf.get();
    aux.btf_var_id = type->type;
  } else {
    Result<u32> size = btf->size_of(resolved);
    if (!size) {
      return reject(EINVAL, "ldimm64 unable to resolve the size of type '{}': {}\n", btf->string(target.name_off),
                    -size.error().value);
    }
    aux.btf_var_type = kPtrToMem | kRdonly;
    aux.btf_var_size = *size;
  }
  if (std::find(used_btfs_.begin(), used_btfs_.end(), btf) != used_btfs_.end()) return {};
  if (used_btfs_.size() >= kUsedBtfsLimit) return fail(E2BIG);
  used_btfs_.push_back(std::move(btf));
  return {};
}

}  // namespace bpfemu
