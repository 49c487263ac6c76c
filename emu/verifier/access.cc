// SPDX-License-Identifier: Apache-2.0
// Loads and stores through pointers of every kind (kernel: check_mem_access).
#include <algorithm>

#include "emu/base/bytes.h"
#include "emu/verifier/btf_access.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

// Frozen and read-only for programs: its contents are constants.
bool is_constant_map(const MapObject& map) {
  return map.map().flags & BPF_F_RDONLY_PROG && map.frozen && map.writers == 0;
}

const KptrField* kptr_at(const MapObject& map, u64 offset) {
  auto it = std::find_if(map.kptrs.begin(), map.kptrs.end(), [&](const KptrField& k) { return k.offset == offset; });
  return it == map.kptrs.end() ? nullptr : &*it;
}

// The pointers' names in "misaligned ... access".
const char* alignment_name(RegType type) {
  switch (type) {
    case kPtrToFlowKeys: return "flow keys ";
    case kPtrToMapKey: return "key ";
    case kPtrToMapValue: return "value ";
    case kPtrToCtx: return "context ";
    case kPtrToStack: return "stack ";
    case kPtrToSocket: return "sock ";
    case kPtrToSockCommon: return "sock_common ";
    case kPtrToTcpSock: return "tcp_sock ";
    case kPtrToXdpSock: return "xdp_sock ";
    default: return "";
  }
}

}  // namespace

Check Checker::check_alignment(const Reg& reg, s32 off, s32 size, bool strict_once) {
  // The stack is always strict: its slots are followed one by one.
  bool strict = strict_alignment_ || strict_once || reg.type == kPtrToStack;
  if (!strict || size == 1) return {};
  bool packet = reg.type == kPtrToPacket || reg.type == kPtrToPacketMeta;
  constexpr s32 kPacketStart = 2;  // NET_IP_ALIGN, to make programs portable
  s32 fixed = reg.off + off + (packet ? kPacketStart : 0);
  Tnum at = tnum_add(reg.var_off, Tnum::constant(static_cast<u64>(s64{fixed})));
  if (at.is_aligned(static_cast<u64>(s64{size}))) return {};
  if (packet) {
    return reject(EACCES, "misaligned packet access off {}+{}+{}+{} size {}\n", kPacketStart, reg.var_off.text(),
                  reg.off, off, size);
  }
  return reject(EACCES, "misaligned {}access off {}+{}+{} size {}\n", alignment_name(reg.type), reg.var_off.text(),
                reg.off, off, size);
}

// Is [off, off + size) inside a region of `region` bytes, for one value of the variable part?
Check Checker::check_region_once(u32 number, s64 wide_off, s32 size, u32 region, bool zero_ok) {
  s32 off = static_cast<s32>(wide_off);
  bool size_ok = size > 0 || (size == 0 && zero_ok);
  if (off >= 0 && size_ok && static_cast<u64>(off) + static_cast<u64>(size) <= region) return {};
  const Reg& r = reg(number);
  switch (r.type) {
    case kPtrToMapKey:
      log_.print("invalid access to map key, key_size={} off={} size={}\n", static_cast<s32>(region), off, size);
      break;
    case kPtrToMapValue:
      log_.print("invalid access to map value, value_size={} off={} size={}\n", static_cast<s32>(region), off, size);
      break;
    case kPtrToPacket:
    case kPtrToPacketMeta:
    case kPtrToPacketEnd:
      log_.print("invalid access to packet, off={} size={}, R{}(id={},off={},r={})\n", off, size, number, r.id, off,
                 static_cast<s32>(region));
      break;
    default: log_.print("invalid access to memory, mem_size={} off={} size={}\n", region, off, size);
  }
  return fail(EACCES);
}

// The same for all values that the variable part can have.
Check Checker::check_region(u32 number, s32 off, s32 size, u32 region, bool zero_ok) {
  const Reg& r = reg(number);
  s64 smin = r.r64.smin;
  if (smin < 0 && (smin == Range64{}.smin || off + smin != static_cast<s32>(off + smin) || smin + off < 0)) {
    return reject(EACCES, "R{} min value is negative, either use unsigned index or do a if (index >=0) check.\n",
                  number);
  }
  if (!check_region_once(number, smin + off, size, region, zero_ok)) {
    return reject(EACCES, "R{} min value is outside of the allowed memory range\n", number);
  }
  if (r.r64.umax >= static_cast<u64>(kMaxVarOffset)) {
    return reject(EACCES, "R{} unbounded memory access, make sure to bounds check any such access\n", number);
  }
  if (!check_region_once(number, static_cast<s64>(r.r64.umax) + off, size, region, zero_ok)) {
    return reject(EACCES, "R{} max value is outside of the allowed memory range\n", number);
  }
  return {};
}

Check Checker::check_pointer_offset(const Reg& reg, u32 number, bool fixed_ok) {
  if (reg.off < 0) {
    return reject(EACCES, "negative offset {} ptr R{} off={} disallowed\n", type_text(reg.type), number, reg.off);
  }
  if (!fixed_ok && reg.off) {
    return reject(EACCES, "dereference of modified {} ptr R{} off={} disallowed\n", type_text(reg.type), number,
                  reg.off);
  }
  if (!reg.var_off.equals(0)) {
    return reject(EACCES, "variable {} access var_off={} disallowed\n", type_text(reg.type), reg.var_off.text());
  }
  return {};
}

// --- Map values --------------------------------------------------------------------------------------------------

Check Checker::check_map_flags(u32 number, s32 off, s32 size, Access access) {
  const Map& map = reg(number).map()->map();
  if (access == Access::kWrite && map.flags & BPF_F_RDONLY_PROG) {
    return reject(EACCES, "write into map forbidden, value_size={} off={} size={}\n", map.value_size, off, size);
  }
  if (access == Access::kRead && map.flags & BPF_F_WRONLY_PROG) {
    return reject(EACCES, "read from map forbidden, value_size={} off={} size={}\n", map.value_size, off, size);
  }
  return {};
}

Check Checker::check_map_value(u32 number, s32 off, s32 size, bool zero_ok, By by) {
  const Reg& r = reg(number);
  const MapObject& map = *r.map();
  TRY(check_region(number, off, size, map.map().value_size, zero_ok));
  auto overlaps = [&](u64 field, u64 length) {
    return static_cast<u64>(r.r64.smin + off) < field + length &&
           field < r.r64.umax + static_cast<u64>(s64{off}) + static_cast<u64>(size);
  };
  if (map.spin_lock_offset && overlaps(*map.spin_lock_offset, sizeof(bpf_spin_lock))) {
    return reject(EACCES, "bpf_spin_lock cannot be accessed directly by load/store\n");
  }
  if (map.timer_offset && overlaps(*map.timer_offset, sizeof(bpf_timer))) {
    return reject(EACCES, "bpf_timer cannot be accessed directly by load/store\n");
  }
  for (const KptrField& kptr : map.kptrs) {
    if (!overlaps(kptr.offset, sizeof(u64))) continue;
    if (by == By::kHelper) return reject(EACCES, "kptr cannot be accessed indirectly by helper\n");
    if (!r.var_off.is_const()) return reject(EACCES, "kptr access cannot have variable offset\n");
    u64 at = static_cast<u64>(s64{off}) + r.var_off.value;
    if (kptr.offset != at) return reject(EACCES, "kptr access misaligned expected={} off={}\n", kptr.offset, at);
    if (size != sizeof(u64)) return reject(EACCES, "kptr access size must be BPF_DW\n");
    break;
  }
  return {};
}

Check Checker::check_kptr_type(const KptrField& field, const Reg& r, u32 number) {
  u32 fine = kMaybeNull | (field.referenced ? 0 : kUntrusted);
  std::string name;
  if (base_type(r.type) == kPtrToBtfId && !(type_flags(r.type) & ~fine)) {
    if (!r.btf()->is_kernel()) return reject(EINVAL, "R{} must point to kernel BTF\n", number);
    name = r.btf()->type_name(r.btf_id());
    if (!check_pointer_offset(r, number, true)) return fail(EACCES);
    if (btf_struct_ids_match(*r.btf(), r.btf_id(), r.off, *field.btf, field.btf_id, field.referenced, log_)) return {};
  }
  const char* target = field.btf->type_name(field.btf_id);
  log_.print("invalid kptr access, R{} type={}{} ", number, type_text(r.type), name);
  log_.print("expected={}{}", type_text(kPtrToBtfId), target);
  if (field.referenced) return reject(EINVAL, "\n");
  return reject(EINVAL, " or {}{}\n", type_text(kPtrToBtfId | kUntrusted), target);
}

Check Checker::check_kptr_access(u32 index, s32 value_reg, const KptrField& field) {
  const Insn& insn = insns_[index];
  u8 cls = BPF_CLASS(insn.code);
  if (BPF_MODE(insn.code) != BPF_MEM) {
    return reject(EACCES, "kptr in map can only be accessed using BPF_MEM instruction mode\n");
  }
  if (cls != BPF_LDX && field.referenced) return reject(EACCES, "store to referenced kptr disallowed\n");
  switch (cls) {
    case BPF_LDX: {
      u32 number = static_cast<u32>(value_reg);
      load_btf_field(number, kPtrToBtfId, field.btf.get(), field.btf_id, kMaybeNull | kUntrusted);
      reg(number).id = new_id();
      return {};
    }
    case BPF_STX: {
      const Reg& value = reg(static_cast<u32>(value_reg));
      if (!value.is_null() && !check_kptr_type(field, value, static_cast<u32>(value_reg))) return fail(EACCES);
      return {};
    }
    case BPF_ST:
      if (insn.imm) return reject(EACCES, "BPF_ST imm must be 0 when storing to kptr at off={}\n", field.offset);
      return {};
    default: return reject(EACCES, "kptr in map can only be accessed using BPF_LDX/BPF_STX/BPF_ST\n");
  }
}

Check Checker::access_map_value(u32 insn, u32 number, s32 off, u32 size, Access access, s32 value_reg) {
  bool reads = access == Access::kRead && value_reg >= 0;
  if (access == Access::kWrite && value_reg >= 0 && is_pointer_leak(reg(static_cast<u32>(value_reg)))) {
    return reject(EACCES, "R{} leaks addr into map\n", value_reg);
  }
  TRY(check_map_flags(number, off, static_cast<s32>(size), access));
  TRY(check_map_value(number, off, static_cast<s32>(size), false, By::kProgram));
  const Reg& r = reg(number);
  const MapObject& map = *r.map();
  u64 at = static_cast<u64>(s64{off}) + r.var_off.value;
  if (r.var_off.is_const()) {
    if (const KptrField* kptr = kptr_at(map, at)) return check_kptr_access(insn, value_reg, *kptr);
  }
  if (!reads) return {};
  Reg& value = reg(static_cast<u32>(value_reg));
  if (!r.var_off.is_const() || !is_constant_map(map) || !map.ops().direct_value) {
    mark_unknown(value);
    return {};
  }
  u64 address;
  if (s64 error = map.ops().direct_value(map.map(), at, &address); error < 0) return fail(static_cast<int>(-error));
  const void* from = reinterpret_cast<const void*>(address + at);
  u64 constant = size == 1   ? load<u8>(from)
                 : size == 2 ? load<u16>(from)
                 : size == 4 ? load<u32>(from)
                             : load<u64>(from);
  value.type = kScalar;
  set_known(value, constant);
  return {};
}

// --- Packets, contexts, sockets, buffers -------------------------------------------------------------------------

bool Checker::may_use_packet(const CallMeta* meta, Access access) {
  u32 type = info_.resolved_type();
  if (!ops_->direct_packet || !ops_->direct_packet(info_, access)) return false;
  if (type == BPF_PROG_TYPE_CGROUP_SOCKOPT) {
    if (access == Access::kWrite) info_.seen_direct_write = true;
    return true;
  }
  if (meta) return meta->pkt_access;
  info_.seen_direct_write = true;
  return true;
}

Check Checker::check_packet_range(u32 number, s32 off, s32 size, bool zero_ok) {
  const Reg& r = reg(number);
  // A negative variable part would make the range checked at its lower end wrong at the upper one.
  if (r.r64.smin < 0) {
    return reject(EACCES, "R{} min value is negative, either use unsigned index or do a if (index >=0) check.\n",
                  number);
  }
  Check inside =
      r.range() < 0 ? Check(fail(EINVAL)) : check_region_once(number, off, size, static_cast<u32>(r.range()), zero_ok);
  if (!inside) {
    log_.print("R{} offset is outside of the packet\n", number);
    return inside;
  }
  u32 last = static_cast<u32>(static_cast<u64>(s64{off}) + r.r64.umax + static_cast<u64>(s64{size}) - 1);
  info_.max_pkt_offset = std::max(info_.max_pkt_offset, last);
  return {};
}

Check Checker::access_packet(u32 number, s32 off, u32 size, Access access, s32 value_reg) {
  if (access == Access::kWrite) {
    if (!may_use_packet(nullptr, access)) return reject(EACCES, "cannot write into packet\n");
    if (value_reg >= 0 && is_pointer_leak(reg(static_cast<u32>(value_reg)))) {
      return reject(EACCES, "R{} leaks addr into packet\n", value_reg);
    }
  }
  TRY(check_packet_range(number, off, static_cast<s32>(size), false));
  if (access == Access::kRead && value_reg >= 0) mark_unknown(reg(static_cast<u32>(value_reg)));
  return {};
}

Check Checker::access_ctx(u32 insn, u32 number, s32 off, u32 size, Access access, s32 value_reg) {
  if (access == Access::kWrite && value_reg >= 0 && is_pointer_leak(reg(static_cast<u32>(value_reg)))) {
    return reject(EACCES, "R{} leaks addr into ctx\n", value_reg);
  }
  TRY(check_pointer_offset(reg(number), number, false));
  CtxAccess field;
  s32 bytes = static_cast<s32>(size);
  if (!ops_->is_valid_access || !ops_->is_valid_access(off, bytes, access, info_, log_, field)) {
    log_.print("invalid bpf_context access off={} size={}\n", off, bytes);
    print_line(insn, "; ");
    return fail(EACCES);
  }
  bool is_struct = base_type(field.reg_type) == kPtrToBtfId;
  if (!is_struct) aux_[insn].ctx_field_size = field.ctx_field_size;
  info_.max_ctx_offset = std::max(info_.max_ctx_offset, static_cast<u32>(off + bytes));
  info_.reads_ctx(static_cast<u32>(off), static_cast<u32>(bytes));
  if (access != Access::kRead || value_reg < 0) return {};
  Reg& value = reg(static_cast<u32>(value_reg));
  if (field.reg_type == kScalar) {
    mark_unknown(value);
    return {};
  }
  set_known(value, 0);
  if (field.reg_type & kMaybeNull) value.id = new_id();
  // A pointer is always 64 bits wide, even when the context field is not.
  value.subreg_def = kNotSubreg;
  if (is_struct) value.point_to_btf(field.btf, field.btf_id);
  value.type = field.reg_type;
  return {};
}

Check Checker::check_socket(u32 insn, u32 number, s32 off, u32 size, Access access) {
  const Reg& r = reg(number);
  if (r.r64.smin < 0) {
    return reject(EACCES, "R{} min value is negative, either use unsigned index or do a if (index >=0) check.\n",
                  number);
  }
  CtxAccess field;
  field.reg_type = kNotInit;
  if (!is_valid_sock_access(static_cast<RegBase>(r.type), off, static_cast<s32>(size), access, field)) {
    return reject(EACCES, "R{} invalid {} access off={} size={}\n", number, type_text(r.type), off, size);
  }
  aux_[insn].ctx_field_size = field.ctx_field_size;
  return {};
}

Check Checker::check_buffer(std::string_view what, const Reg& reg, u32 number, s32 off, s32 size, u32& most) {
  if (off < 0) return reject(EACCES, "R{} invalid {} buffer access: off={}, size={}\n", number, what, off, size);
  if (!reg.var_off.equals(0)) {
    return reject(EACCES, "R{} invalid variable buffer offset: off={}, var_off={}\n", number, off, reg.var_off.text());
  }
  most = std::max(most, static_cast<u32>(off + size));
  return {};
}

Check Checker::access_buffer(u32 number, s32 off, s32 size, Access access, s32 value_reg) {
  const Reg& r = reg(number);
  bool rdonly = r.type & kRdonly;
  if (rdonly && access == Access::kWrite) {
    return reject(EACCES, "R{} cannot write into {}\n", number, type_text(r.type));
  }
  u32& most = rdonly ? info_.max_rdonly_access : info_.max_rdwr_access;
  TRY(check_buffer(rdonly ? "rdonly" : "rdwr", r, number, off, size, most));
  if (value_reg >= 0 && access == Access::kRead) mark_unknown(reg(static_cast<u32>(value_reg)));
  return {};
}

Check Checker::access_mem(u32 number, s32 off, u32 size, Access access, s32 value_reg) {
  const Reg& r = reg(number);
  if (r.may_be_null()) return reject(EACCES, "R{} invalid mem access '{}'\n", number, type_text(r.type));
  if (access == Access::kWrite) {
    if (r.type & kRdonly) return reject(EACCES, "R{} cannot write into {}\n", number, type_text(r.type));
    if (value_reg >= 0 && is_pointer_leak(reg(static_cast<u32>(value_reg)))) {
      return reject(EACCES, "R{} leaks addr into mem\n", value_reg);
    }
  }
  TRY(check_region(number, off, static_cast<s32>(size), r.mem_size(), false));
  if (value_reg >= 0 && access == Access::kRead) mark_unknown(reg(static_cast<u32>(value_reg)));
  return {};
}

// --- All of them -------------------------------------------------------------------------------------------------

// `value_reg`: the register that is loaded or stored, -1 for none (constants, atomics, helpers).
Check Checker::check_access(u32 insn, u32 number, s32 off, u32 size, Access access, s32 value_reg, bool strict_once) {
  const s32 bytes = static_cast<s32>(size);
  TRY(check_alignment(reg(number), off, bytes, strict_once));
  const Reg& r = reg(number);
  off += r.off;
  bool write = access == Access::kWrite;
  auto unknown_if_read = [&] {
    if (!write && value_reg >= 0) mark_unknown(reg(static_cast<u32>(value_reg)));
  };
  const RegType type = r.type;
  if (type == kPtrToMapKey) {
    if (write) return reject(EACCES, "write to change key R{} not allowed\n", number);
    TRY(check_region(number, off, bytes, r.map()->map().key_size, false));
    unknown_if_read();
  } else if (type == kPtrToMapValue) {
    TRY(access_map_value(insn, number, off, size, access, value_reg));
  } else if (base_type(type) == kPtrToMem) {
    TRY(access_mem(number, off, size, access, value_reg));
  } else if (type == kPtrToCtx) {
    TRY(access_ctx(insn, number, off, size, access, value_reg));
  } else if (type == kPtrToStack) {
    TRY(check_stack_bounds(number, off, bytes, By::kProgram, access));
    TRY(write ? check_stack_write(number, off, bytes, value_reg, insn)
              : check_stack_read(number, off, bytes, value_reg));
  } else if (r.is_packet()) {
    TRY(access_packet(number, off, size, access, value_reg));
  } else if (type == kPtrToFlowKeys) {
    if (write && value_reg >= 0 && is_pointer_leak(reg(static_cast<u32>(value_reg)))) {
      return reject(EACCES, "R{} leaks addr into flow keys\n", value_reg);
    }
    if (off < 0 || static_cast<u64>(off) + size > sizeof(bpf_flow_keys)) {
      return reject(EACCES, "invalid access to flow keys off={} size={}\n", off, size);
    }
    unknown_if_read();
  } else if (r.is_socket()) {
    if (write) return reject(EACCES, "R{} cannot write into {}\n", number, type_text(type));
    TRY(check_socket(insn, number, off, size, access));
    unknown_if_read();
  } else if (type == kPtrToTpBuffer) {
    TRY(check_buffer("tracepoint", r, number, off, bytes, info_.max_tp_access));
    unknown_if_read();
  } else if (base_type(type) == kPtrToBtfId && !r.may_be_null()) {
    TRY(access_btf_pointer(number, off, size, access, value_reg));
  } else if (type == kConstPtrToMap) {
    info_.looks_into_maps = true;
    TRY(access_map_pointer(number, off, size, access, value_reg));
  } else if (base_type(type) == kPtrToBuf && !r.may_be_null()) {
    TRY(access_buffer(number, off, bytes, access, value_reg));
  } else {
    return reject(EACCES, "R{} invalid mem access '{}'\n", number, type_text(type));
  }
  if (!write && size < 8 && value_reg >= 0 && reg(static_cast<u32>(value_reg)).is_scalar()) {
    truncate(reg(static_cast<u32>(value_reg)), size);
  }
  return {};
}

Check Checker::check_atomic(const Insn& insn) {
  switch (insn.imm) {
    case BPF_ADD:
    case BPF_ADD | BPF_FETCH:
    case BPF_AND:
    case BPF_AND | BPF_FETCH:
    case BPF_OR:
    case BPF_OR | BPF_FETCH:
    case BPF_XOR:
    case BPF_XOR | BPF_FETCH:
    case BPF_XCHG:
    case BPF_CMPXCHG: break;
    default: return reject(EINVAL, "BPF_ATOMIC uses invalid atomic opcode {:02x}\n", static_cast<u32>(insn.imm));
  }
  if (BPF_SIZE(insn.code) != BPF_W && BPF_SIZE(insn.code) != BPF_DW) {
    return reject(EINVAL, "invalid atomic operand size\n");
  }
  TRY(use_reg(insn.src_reg, Use::kRead));
  TRY(use_reg(insn.dst_reg, Use::kRead));
  if (insn.imm == BPF_CMPXCHG) {
    TRY(use_reg(BPF_REG_0, Use::kRead));
    if (is_pointer_leak(reg(BPF_REG_0))) return reject(EACCES, "R{} leaks addr into mem\n", u32{BPF_REG_0});
  }
  if (is_pointer_leak(reg(insn.src_reg))) return reject(EACCES, "R{} leaks addr into mem\n", u32{insn.src_reg});
  const Reg& pointer = reg(insn.dst_reg);
  if (pointer.type == kPtrToCtx || pointer.is_packet() || pointer.type == kPtrToFlowKeys || pointer.is_socket()) {
    return reject(EACCES, "BPF_ATOMIC stores into R{} {} is not allowed\n", u32{insn.dst_reg}, type_text(pointer.type));
  }
  s32 loaded = -1;
  if (insn.imm & BPF_FETCH) {
    loaded = insn.imm == BPF_CMPXCHG ? s32{BPF_REG_0} : s32{insn.src_reg};
    TRY(use_reg(static_cast<u32>(loaded), Use::kWrite));
  }
  // Read and write, first without a result so that spilled pointers are noticed.
  u32 size = access_size(insn.code);
  TRY(check_access(insn_, insn.dst_reg, insn.off, size, Access::kRead, -1, true));
  if (loaded >= 0) TRY(check_access(insn_, insn.dst_reg, insn.off, size, Access::kRead, loaded, true));
  return check_access(insn_, insn.dst_reg, insn.off, size, Access::kWrite, -1, true);
}

}  // namespace bpfemu
