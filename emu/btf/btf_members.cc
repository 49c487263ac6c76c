// SPDX-License-Identifier: Apache-2.0
// Where members of structs may lie, by the kind of the member (kernel: check_member and check_kflag_member).
#include <algorithm>

#include "emu/btf/btf_check.h"

namespace bpfemu {

namespace {

constexpr u32 kIntBits = 32, kMaxBits = 128;

u32 bytes_up(u32 bits) {
  return bits / 8 + (bits % 8 != 0);
}

}  // namespace

Result<void> BtfCheck::place(const btf_type& outer, const btf_member& member, u32 id) {
  const btf_type& type = *btf_.type(id);
  Placed placed{outer, member, Btf::member_bit_offset(outer, member), Btf::member_bitfield_size(outer, member)};
  if (!checks(type).place) {
    describe(outer, Btf::kind_flag(outer) ? "Unsupported check_kflag_member" : "Unsupported check_member", true);
    return fail(EINVAL);
  }
  bool has_bits = Btf::kind(type) == BTF_KIND_INT || Btf::kind(type) == BTF_KIND_ENUM ||
                  Btf::kind(type) == BTF_KIND_ENUM64 || btf_is_modifier(type);
  if (placed.bits != 0 && !has_bits) return refuse_member(outer, member, "Invalid member bitfield_size");
  return (this->*checks(type).place)(placed, type);
}

// The member counts as one of the type that the chain ends in.
Result<void> BtfCheck::place_modifier(const Placed& placed, const btf_type&) {
  btf_member resolved = placed.member;
  if (!sized(resolved.type)) return refuse_member(placed.outer, placed.member, "Invalid member");
  return place(placed.outer, resolved, resolved.type);
}

// A struct with kind_flag says how many bits a member has; otherwise its int type does, and where they begin.
Result<void> BtfCheck::place_int(const Placed& placed, const btf_type& type) {
  auto refuse_it = [&](const char* why) { return refuse_member(placed.outer, placed.member, why); };
  u32 data = btf_int_data(type), offset = placed.offset, bits = BTF_INT_BITS(data);
  if (Btf::kind_flag(placed.outer)) {
    if (!btf_int_is_regular(type)) return refuse_it("Invalid member base type");
    if (placed.bits == 0 && offset % 8 != 0) return refuse_it("Invalid member offset");
    if (placed.bits > bits) return refuse_it("Invalid member bitfield_size");
    if (placed.bits != 0) bits = placed.bits;
  } else {
    if (~u32{0} - offset < BTF_INT_OFFSET(data)) return refuse_it("bits_offset exceeds U32_MAX");
    offset += BTF_INT_OFFSET(data);
  }
  u32 start = offset / 8, copied = bits + offset % 8, size = placed.outer.size;
  if (copied > kMaxBits) return refuse_it("nr_copy_bits exceeds 128");
  if (size < start || size - start < bytes_up(copied)) return refuse_it("Member exceeds struct_size");
  return {};
}

Result<void> BtfCheck::place_enum(const Placed& placed, const btf_type& type) {
  if (!Btf::kind_flag(placed.outer)) return place_bytes(placed, type.size);
  auto refuse_it = [&](const char* why) { return refuse_member(placed.outer, placed.member, why); };
  if (placed.bits == 0 && placed.offset % 8 != 0) return refuse_it("Member is not byte aligned");
  if (placed.bits > kIntBits) return refuse_it("Invalid member bitfield_size");
  u32 bits = placed.bits ? placed.bits : kIntBits;
  if (placed.outer.size < bytes_up(placed.offset + bits)) return refuse_it("Member exceeds struct_size");
  return {};
}

Result<void> BtfCheck::place_pointer(const Placed& placed, const btf_type&) {
  return place_bytes(placed, sizeof(void*));
}

Result<void> BtfCheck::place_struct(const Placed& placed, const btf_type& type) {
  return place_bytes(placed, type.size);
}

Result<void> BtfCheck::place_array(const Placed& placed, const btf_type&) {
  u32 id = placed.member.type, size = 0;
  sized(id, &size);
  return place_bytes(placed, size);
}

Result<void> BtfCheck::place_float(const Placed& placed, const btf_type& type) {
  u32 align = std::min<u32>(sizeof(void*), type.size) * 8;
  if (placed.offset % align != 0) return refuse_member(placed.outer, placed.member, "Member is not properly aligned");
  if (u64{placed.offset} / 8 + type.size > placed.outer.size) {
    return refuse_member(placed.outer, placed.member, "Member exceeds struct_size");
  }
  return {};
}

// kernel: the common form of btf_*_check_member. The first phase made sure that the member begins inside the struct.
Result<void> BtfCheck::place_bytes(const Placed& placed, u32 size) {
  if (placed.offset % 8 != 0) return refuse_member(placed.outer, placed.member, "Member is not byte aligned");
  if (placed.outer.size - placed.offset / 8 < size) {
    return refuse_member(placed.outer, placed.member, "Member exceeds struct_size");
  }
  return {};
}

}  // namespace bpfemu
