// SPDX-License-Identifier: Apache-2.0
// Arguments of helpers against the prototype (kernel: check_func_arg).
#include <algorithm>
#include <cstring>

#include "emu/verifier/btf_access.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

// Registers that an argument type takes, in the order in which the log lists them.
struct Accepted {
  std::array<RegType, 8> types{};
  const char* structure = nullptr;  // of kPtrToBtfId when the prototype names none
};

constexpr RegType kAllocMem = kPtrToMem | kAlloc;

constexpr std::array<Accepted, kArgBaseCount> kAccepted = [] {
  std::array<Accepted, kArgBaseCount> table{};
  constexpr Accepted kKeyOrValue{{kPtrToStack, kPtrToPacket, kPtrToPacketMeta, kPtrToMapKey, kPtrToMapValue}};
  constexpr Accepted kScalars{{kScalar}};
  constexpr Accepted kMapValue{{kPtrToMapValue}};
  table[kArgConstMapPtr] = {{kConstPtrToMap}};
  table[kArgPtrToMapKey] = kKeyOrValue;
  table[kArgPtrToMapValue] = kKeyOrValue;
  table[kArgPtrToMem] = {
      {kPtrToStack, kPtrToPacket, kPtrToPacketMeta, kPtrToMapKey, kPtrToMapValue, kPtrToMem, kAllocMem, kPtrToBuf}};
  table[kArgConstSize] = kScalars;
  table[kArgConstSizeOrZero] = kScalars;
  table[kArgConstAllocSizeOrZero] = kScalars;
  table[kArgPtrToCtx] = {{kPtrToCtx}};
  table[kArgPtrToSpinLock] = kMapValue;
  table[kArgPtrToSockCommon] = {{kPtrToSockCommon, kPtrToSocket, kPtrToTcpSock, kPtrToXdpSock}};
  table[kArgPtrToSocket] = {{kPtrToSocket}};
  table[kArgPtrToBtfId] = {{kPtrToBtfId}};
  table[kArgPtrToAllocMem] = {{kAllocMem}};
  table[kArgPtrToBtfIdSockCommon] = {{kPtrToSockCommon, kPtrToSocket, kPtrToTcpSock, kPtrToXdpSock, kPtrToBtfId},
                                     "sock_common"};
  table[kArgPtrToPercpuBtfId] = {{kPtrToBtfId | kPercpu}};
  table[kArgPtrToFunc] = {{kPtrToFunc}};
  table[kArgPtrToStack] = {{kPtrToStack}};
  table[kArgPtrToConstStr] = kMapValue;
  table[kArgPtrToTimer] = kMapValue;
  table[kArgPtrToKptr] = kMapValue;
  table[kArgPtrToDynptr] = {{kPtrToStack, kPtrToDynptr | kDynptrLocal}};
  return table;
}();

// Helpers of these types read the context as it is; for the others it is not memory.
bool context_is_plain_memory(u32 prog_type) {
  switch (prog_type) {
    case BPF_PROG_TYPE_KPROBE:
    case BPF_PROG_TYPE_TRACEPOINT:
    case BPF_PROG_TYPE_RAW_TRACEPOINT:
    case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
    case BPF_PROG_TYPE_TRACING:
    case BPF_PROG_TYPE_STRUCT_OPS:
    case BPF_PROG_TYPE_EXT:
    case BPF_PROG_TYPE_LSM:
    case BPF_PROG_TYPE_SYSCALL:
    case BPF_PROG_TYPE_CGROUP_DEVICE:
    case BPF_PROG_TYPE_LIRC_MODE2: return true;
    default: return false;
  }
}

Access access_of(ArgType type) {
  return type & kMemWrite ? Access::kWrite : Access::kRead;
}

}  // namespace

// A helper reads or writes `size` bytes at a register.
Check Checker::check_helper_mem(u32 number, s32 size, Access access, bool zero_ok, CallMeta* meta) {
  const Reg& r = reg(number);
  bool write = access == Access::kWrite;
  auto rdonly = [&] { return reject(EACCES, "R{} cannot write into {}\n", number, type_text(r.type)); };
  switch (base_type(r.type)) {
    case kPtrToPacket:
    case kPtrToPacketMeta: return check_packet_range(number, r.off, size, zero_ok);
    case kPtrToMapKey:
      if (write) return rdonly();
      return check_region(number, r.off, size, r.map()->map().key_size, false);
    case kPtrToMapValue:
      if (!check_map_flags(number, r.off, size, access)) return fail(EACCES);
      return check_map_value(number, r.off, size, zero_ok, By::kHelper);
    case kPtrToMem:
      if (r.type & kRdonly && write) return rdonly();
      return check_region(number, r.off, size, r.mem_size(), zero_ok);
    case kPtrToBuf: {
      bool read_only = r.type & kRdonly;
      if (read_only && write) return rdonly();
      return check_buffer(read_only ? "rdonly" : "rdwr", r, number, r.off, size,
                          read_only ? info_.max_rdonly_access : info_.max_rdwr_access);
    }
    case kPtrToStack: return check_stack_initialized(number, r.off, size, zero_ok, By::kHelper, meta);
    case kPtrToCtx:
      if (context_is_plain_memory(info_.resolved_type())) {
        if (size == 0) return zero_ok ? Check{} : Check(fail(EACCES));
        return check_access(insn_, number, size - 1, 1, access, -1, false);
      }
      [[fallthrough]];
    default:
      if (zero_ok && size == 0 && r.is_null()) return {};
      log_.print("R{} type={} ", number, type_text(r.type));
      return reject(EACCES, "expected={}\n", type_text(kPtrToStack));
  }
}

// `number` holds the size of the memory that the register before it points to.
Check Checker::check_mem_size(u32 number, Access access, bool zero_ok, CallMeta& meta) {
  const Reg& r = reg(number);
  meta.max_size = r.r64.umax;
  // Of unknown size: all of it must be initialized, even if the helper only writes.
  CallMeta* raw = r.var_off.is_const() ? &meta : nullptr;
  if (r.r64.smin < 0) {
    return reject(EACCES, "R{} min value is negative, either use unsigned or 'var &= const'\n", number);
  }
  if (r.r64.umin == 0) TRY(check_helper_mem(number - 1, 0, access, zero_ok, raw));
  if (r.r64.umax >= static_cast<u64>(kMaxVarOffset)) {
    return reject(EACCES, "R{} unbounded memory access, use 'var &= const' or 'if (var < const)'\n", number);
  }
  TRY(check_helper_mem(number - 1, static_cast<s32>(r.r64.umax), access, zero_ok, raw));
  return mark_precise(static_cast<s32>(number));
}

// Memory that a function reads and writes.
Check Checker::check_mem_reg(u32 number, u32 size) {
  Reg& r = reg(number);
  if (r.is_null()) return {};
  Reg saved = r;
  bool maybe_null = r.may_be_null();
  if (maybe_null) mark_not_null(r);
  Check result = check_helper_mem(number, static_cast<s32>(size), Access::kRead, true, nullptr);
  if (result) result = check_helper_mem(number, static_cast<s32>(size), Access::kWrite, true, nullptr);
  if (maybe_null) reg(number) = saved;
  return result;
}

Check Checker::check_arg_type(u32 number, ArgType type, const char* structure, CallMeta& meta) {
  const Reg& r = reg(number);
  const Accepted& accepted = kAccepted[base_type(type)];
  RegType is = r.type;
  if (type & kRdonly) is &= ~kRdonly;
  if (type & kMaybeNull) is &= ~kMaybeNull;
  auto end = std::find(accepted.types.begin(), accepted.types.end(), RegType{kNotInit});
  if (std::find(accepted.types.begin(), end, is) == end) {
    log_.print("R{} type={} expected=", number, type_text(r.type));
    for (auto it = accepted.types.begin(); it + 1 < end; ++it) log_.print("{}, ", type_text(*it));
    return reject(EACCES, "{}\n", type_text(end == accepted.types.begin() ? *end : *(end - 1)));
  }
  if (r.type != kPtrToBtfId) return {};
  if (meta.helper == BPF_FUNC_kptr_xchg) {
    if (!check_kptr_type(*meta.kptr, r, number)) return fail(EACCES);
    return {};
  }
  if (!structure) structure = accepted.structure;
  Result<u32> wanted = vmlinux() && structure ? vmlinux()->find(structure, BTF_KIND_STRUCT) : fail(ENOENT);
  if (!wanted) return reject(EFAULT, "verifier internal error: missing arg compatible BTF ID\n");
  // Only sockets may be released through a pointer to what they begin with.
  bool strict = type & kRelease && meta.helper != BPF_FUNC_sk_release;
  if (!btf_struct_ids_match(*r.btf(), r.btf_id(), r.off, *vmlinux(), *wanted, strict, log_)) {
    return reject(EACCES, "R{} is of type {} but {} is expected\n", number, r.btf()->type_name(r.btf_id()),
                  vmlinux()->type_name(*wanted));
  }
  return {};
}

Check Checker::check_arg_offset(const Reg& r, u32 number, ArgType type) {
  bool fixed_ok = false;
  switch (r.type) {
    case kPtrToStack:
      if (base_type(type) == kArgPtrToDynptr && r.off % static_cast<s32>(kSlotSize)) {
        return reject(EINVAL, "cannot pass in dynptr at an offset\n");
      }
      [[fallthrough]];
    case kPtrToPacket:
    case kPtrToPacketMeta:
    case kPtrToMapKey:
    case kPtrToMapValue:
    case kPtrToMem:
    case kPtrToMem | kRdonly:
    case kPtrToMem | kAlloc:
    case kPtrToBuf:
    case kPtrToBuf | kRdonly:
    case kScalar:
      // Checked with the size, except that what ringbuf_submit gets must be the record itself.
      if (base_type(type) != kArgPtrToAllocMem) return {};
      break;
    case kPtrToBtfId:
      if (type & kRelease && r.off) {
        return reject(EINVAL, "R{} must have zero offset when passed to release func\n", number);
      }
      fixed_ok = true;
      break;
    default: break;
  }
  return check_pointer_offset(r, number, fixed_ok);
}

Check Checker::check_release_arg(u32 number, ArgType type, CallMeta& meta) {
  const Reg& r = reg(number);
  if (base_type(type) == kArgPtrToDynptr) {
    const Frame& frame = frame_of(r);
    s32 slot = slot_of(r.off);
    if (slot < 1 || slot >= static_cast<s32>(frame.stack.size()) || !frame.stack[slot].spilled.id) {
      return reject(EINVAL, "arg {} is an unacquired reference\n", number);
    }
  } else if (!r.ref_obj_id && !r.is_null()) {
    return reject(EINVAL, "R{} must be referenced when passed to release function\n", number);
  }
  if (meta.release_reg) return reject(EFAULT, "verifier internal error: more than one release argument\n");
  meta.release_reg = number;
  return {};
}

Check Checker::check_arg(u32 index, CallMeta& meta, const HelperProto& proto) {
  u32 number = BPF_REG_1 + index;
  ArgType type = proto.args[index];
  if (type == kArgNone) return {};
  TRY(use_reg(number, Use::kRead));
  const Reg& r = reg(number);
  if (type == kArgAnything) {
    if (base_type(r.type) == kPtrToCtx) info_.reads_all_ctx();
    if (base_type(r.type) == kConstPtrToMap) info_.looks_into_maps = true;
    if (is_pointer_leak(r)) return reject(EACCES, "R{} leaks addr into helper function\n", number);
    return {};
  }
  if (r.is_packet() && !may_use_packet(&meta, Access::kRead)) {
    return reject(EACCES, "helper access to the packet is not allowed\n");
  }
  if (base_type(type) == kArgPtrToMapValue) {
    // What the value of a map is to its helpers depends on the map.
    if (!meta.map) return reject(EACCES, "invalid map_ptr to access map->type\n");
    const Map& map = meta.map->map();
    if (has_trait(map, kSockets)) {
      if (type != kArgPtrToMapValue) return reject(EINVAL, "invalid arg_type for sockmap/sockhash\n");
      type = kArgPtrToBtfIdSockCommon;
    } else if (map.type == BPF_MAP_TYPE_BLOOM_FILTER && meta.helper == BPF_FUNC_map_peek_elem) {
      type = kArgPtrToMapValue;
    }
  }
  if (!(r.is_null() && type & kMaybeNull)) {
    TRY(check_arg_type(number, type, base_type(type) == kArgPtrToBtfId ? proto.arg_struct[index] : nullptr, meta));
    TRY(check_arg_offset(r, number, type));
  }
  if (type & kRelease) TRY(check_release_arg(number, type, meta));
  if (r.ref_obj_id) {
    if (meta.ref_obj_id) {
      return reject(EFAULT, "verifier internal error: more than one arg with ref_obj_id R{} {} {}\n", number,
                    r.ref_obj_id, meta.ref_obj_id);
    }
    meta.ref_obj_id = r.ref_obj_id;
  }
  return check_arg_value(index, type, meta, proto);
}

Check Checker::check_map_arg(u32 number, CallMeta& meta) {
  const Reg& r = reg(number);
  // bpf_timer_init: the timer must lie in the map that is given with it.
  if (meta.map && (meta.map != r.map() || meta.map_uid != r.detail)) {
    return reject(EINVAL, "timer pointer in R1 map_uid={} doesn't match map pointer in R2 map_uid={}\n", meta.map_uid,
                  r.detail);
  }
  meta.map = r.map();
  meta.map_uid = r.detail;
  return {};
}

Check Checker::check_arg_value(u32 index, ArgType type, CallMeta& meta, const HelperProto& proto) {
  u32 number = BPF_REG_1 + index;
  const Reg& r = reg(number);
  auto as_access_error = [](Check check) -> Check {
    if (!check) return fail(EACCES);
    return {};
  };
  switch (base_type(type)) {
    case kArgConstMapPtr: return check_map_arg(number, meta);
    case kArgPtrToMapKey:
      if (!meta.map) return reject(EACCES, "invalid map_ptr to access map->key\n");
      return check_helper_mem(number, static_cast<s32>(meta.map->map().key_size), Access::kRead, false, nullptr);
    case kArgPtrToMapValue:
      if (type & kMaybeNull && r.is_null()) return {};
      if (!meta.map) return reject(EACCES, "invalid map_ptr to access map->value\n");
      meta.raw_mode = type & kUninit;
      return check_helper_mem(number, static_cast<s32>(meta.map->map().value_size), access_of(type), false, &meta);
    case kArgPtrToPercpuBtfId:
      if (!r.btf_id()) return reject(EACCES, "Helper has invalid btf_id in R{}\n", number);
      meta.ret_btf = r.btf();
      meta.ret_btf_id = r.btf_id();
      return {};
    case kArgPtrToSpinLock: return as_access_error(check_spin_lock(number, meta.helper == BPF_FUNC_spin_lock));
    case kArgPtrToTimer: return as_access_error(check_timer(number, meta));
    case kArgPtrToFunc: meta.subprog = r.detail; return {};
    case kArgPtrToMem: {
      meta.raw_mode = type & kUninit;
      if (!(type & kFixedSize)) return {};
      s32 size = static_cast<s32>(proto.arg_size[index]);
      TRY(check_helper_mem(number, size, access_of(type), false, &meta));
      return type & kAligned ? check_alignment(r, 0, size, true) : Check{};
    }
    case kArgConstSize:
    case kArgConstSizeOrZero:
      return check_mem_size(number, access_of(proto.args[index - 1]), base_type(type) == kArgConstSizeOrZero, meta);
    case kArgPtrToDynptr: return check_dynptr_arg(index, type, meta);
    case kArgConstAllocSizeOrZero:
      if (!r.var_off.is_const()) return reject(EACCES, "R{} is not a known constant'\n", number);
      meta.mem_size = static_cast<u32>(r.var_off.value);
      return mark_precise(static_cast<s32>(number));
    case kArgPtrToConstStr: return check_const_string(number);
    case kArgPtrToKptr: return as_access_error(check_kptr_arg(number, meta));
    default: return {};
  }
}

// A string in a frozen read-only map: its text is known now.
Check Checker::check_const_string(u32 number) {
  const Reg& r = reg(number);
  const MapObject& object = *r.map();
  const Map& map = object.map();
  if (!(map.flags & BPF_F_RDONLY_PROG) || !object.frozen || object.writers) {
    return reject(EACCES, "R{} does not point to a readonly map'\n", number);
  }
  if (!r.var_off.is_const()) return reject(EACCES, "R{} is not a constant address'\n", number);
  if (!object.ops().direct_value) {
    return reject(EACCES, "no direct value access support for this map type\n");
  }
  TRY(check_map_value(number, r.off, static_cast<s32>(map.value_size) - r.off, false, By::kHelper));
  u64 off = static_cast<u64>(s64{r.off}) + r.var_off.value, address;
  if (s64 error = object.ops().direct_value(object.map(), off, &address); error < 0) {
    return reject(static_cast<int>(-error), "direct value access on string failed\n");
  }
  if (!std::memchr(reinterpret_cast<const void*>(address + off), 0, map.value_size - off)) {
    return reject(EINVAL, "string is not zero-terminated\n");
  }
  return {};
}

// The value of the map has no such field, or not one alone.
Check Checker::no_field(const MapObject& map, Errno error, std::string_view name) {
  if (error.value == E2BIG) return reject(EINVAL, "map '{}' has more than one 'struct {}'\n", map.name, name);
  if (error.value == ENOENT) return reject(EINVAL, "map '{}' doesn't have 'struct {}'\n", map.name, name);
  return reject(EINVAL, "map '{}' is not a struct type or {} is mangled\n", map.name, name);
}

Check Checker::check_spin_lock(u32 number, bool lock) {
  const Reg& r = reg(number);
  const MapObject& map = *r.map();
  u64 at = r.var_off.value + static_cast<u64>(s64{r.off});
  if (!r.var_off.is_const()) {
    return reject(EINVAL, "R{} doesn't have constant offset. bpf_spin_lock has to be at the constant offset\n", number);
  }
  if (!map.btf) return reject(EINVAL, "map '{}' has to have BTF in order to use bpf_spin_lock\n", map.name);
  if (!map.spin_lock_offset) return no_field(map, map.spin_lock_offset.error(), "bpf_spin_lock");
  if (*map.spin_lock_offset != at) {
    return reject(EINVAL, "off {} doesn't point to 'struct bpf_spin_lock'\n", static_cast<s64>(at));
  }
  if (lock) {
    if (cur_.active_lock) return reject(EINVAL, "Locking two bpf_spin_locks are not allowed\n");
    cur_.active_lock = r.id;
    return {};
  }
  if (!cur_.active_lock) return reject(EINVAL, "bpf_spin_unlock without taking a lock\n");
  if (cur_.active_lock != r.id) return reject(EINVAL, "bpf_spin_unlock of different lock\n");
  cur_.active_lock = 0;
  return {};
}

Check Checker::check_timer(u32 number, CallMeta& meta) {
  const Reg& r = reg(number);
  MapObject& map = *r.map();
  u64 at = r.var_off.value + static_cast<u64>(s64{r.off});
  if (!r.var_off.is_const()) {
    return reject(EINVAL, "R{} doesn't have constant offset. bpf_timer has to be at the constant offset\n", number);
  }
  if (!map.btf) return reject(EINVAL, "map '{}' has to have BTF in order to use bpf_timer\n", map.name);
  if (!map.timer_offset) return no_field(map, map.timer_offset.error(), "bpf_timer");
  if (*map.timer_offset != at) {
    return reject(EINVAL, "off {} doesn't point to 'struct bpf_timer' that is at {}\n", static_cast<s64>(at),
                  *map.timer_offset);
  }
  if (meta.map) return reject(EFAULT, "verifier bug. Two map pointers in a timer helper\n");
  meta.map_uid = r.detail;
  meta.map = &map;
  return {};
}

Check Checker::check_kptr_arg(u32 number, CallMeta& meta) {
  const Reg& r = reg(number);
  MapObject& map = *r.map();
  if (!r.var_off.is_const()) {
    return reject(EINVAL, "R{} doesn't have constant offset. kptr has to be at the constant offset\n", number);
  }
  if (!map.btf) return reject(EINVAL, "map '{}' has to have BTF in order to use bpf_kptr_xchg\n", map.name);
  if (map.kptrs.empty()) return reject(EINVAL, "map '{}' has no valid kptr\n", map.name);
  meta.map = &map;
  u32 at = static_cast<u32>(r.off) + static_cast<u32>(r.var_off.value);
  auto it = std::find_if(map.kptrs.begin(), map.kptrs.end(), [&](const KptrField& k) { return k.offset == at; });
  if (it == map.kptrs.end()) return reject(EACCES, "off={} doesn't point to kptr\n", static_cast<s32>(at));
  if (!it->referenced) return reject(EACCES, "off={} kptr isn't referenced kptr\n", static_cast<s32>(at));
  meta.kptr = &*it;
  return {};
}

}  // namespace bpfemu
