// SPDX-License-Identifier: Apache-2.0
// Loads through pointers to kernel structs and through map pointers (kernel: check_ptr_to_btf_access,
// check_ptr_to_map_access).
#include <algorithm>

#include "emu/verifier/btf_access.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

}  // namespace

void Checker::load_btf_field(u32 number, RegType type, const Btf* btf, u32 id, u32 flags) {
  Reg& value = reg(number);
  if (type == kScalar) return mark_unknown(value);
  set_known(value, 0);
  value.type = kPtrToBtfId | flags;
  value.point_to_btf(btf, id);
}

Check Checker::access_btf_pointer(u32 number, s32 off, u32 size, Access access, s32 value_reg) {
  const Reg& r = reg(number);
  const Btf* btf = r.btf();
  const char* name = btf->type_name(r.btf_id());
  if (off < 0) return reject(EACCES, "R{} is ptr_{} invalid negative access: off={}\n", number, name, off);
  if (!r.var_off.equals(0)) {
    return reject(EACCES, "R{} is ptr_{} invalid variable offset: off={}, var_off={}\n", number, name, off,
                  r.var_off.text());
  }
  if (r.type & kUser) return reject(EACCES, "R{} is ptr_{} access user memory: off={}\n", number, name, off);
  if (r.type & kPercpu) return reject(EACCES, "R{} is ptr_{} access percpu memory: off={}\n", number, name, off);
  BtfField field;
  if (ops_->btf_struct_access) {
    u32 id = 0, flags = 0;
    int type = ops_->btf_struct_access(info_, log_, *btf, r.btf_id(), off, static_cast<int>(size), access, &id, &flags);
    if (type < 0) return fail(-type);
    field = {type ? static_cast<RegType>(type) : RegType{kScalar}, id, flags};
  } else {
    if (access != Access::kRead) return reject(EACCES, "only read is supported\n");
    field = TRY(btf_struct_access(*btf, r.btf_id(), off, size, access, log_));
  }
  if (access == Access::kRead && btf == vmlinux()) info_.field_reads.insert({r.btf_id(), static_cast<u32>(off), size});
  if (access == Access::kRead && value_reg >= 0) {
    load_btf_field(static_cast<u32>(value_reg), field.type, btf, field.btf_id, field.flags | (r.type & kUntrusted));
  }
  return {};
}

Check Checker::access_map_pointer(u32 number, s32 off, u32 size, Access access, s32 value_reg) {
  if (!vmlinux()) return reject(ENOTSUPP, "map_ptr access not supported without CONFIG_DEBUG_INFO_BTF\n");
  u32 type = reg(number).map()->map().type;
  const char* name = map_type(type)->kernel_struct;
  Result<u32> id = vmlinux()->find(name, BTF_KIND_STRUCT);
  if (!id) return reject(ENOTSUPP, "map_ptr access not supported for map type {}\n", type);
  if (!allow_ptr_to_map_access_) {
    return reject(EPERM, "{} access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN\n", name);
  }
  if (off < 0) return reject(EACCES, "R{} is {} invalid negative access: off={}\n", number, name, off);
  if (access != Access::kRead) return reject(EACCES, "only read from {} is supported\n", name);
  BtfField field = TRY(btf_struct_access(*vmlinux(), *id, off, size, access, log_));
  if (value_reg >= 0) load_btf_field(static_cast<u32>(value_reg), field.type, vmlinux(), field.btf_id, field.flags);
  return {};
}

}  // namespace bpfemu
