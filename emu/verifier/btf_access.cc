// SPDX-License-Identifier: Apache-2.0
// Walks through structs as the kernel's BTF describes them.
#include "emu/verifier/btf_access.h"

#include <string_view>

namespace bpfemu {
namespace {

bool is_struct(const btf_type& type) {
  u32 kind = Btf::kind(type);
  return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
}

// A member's type, arrays of any number of dimensions taken apart (kernel: __btf_resolve_size).
struct Resolved {
  const btf_type* element = nullptr;
  u32 element_id = 0;
  u32 count = 1;  // of elements
  u32 size = 0;   // of all
  bool is_array = false;
};

Result<Resolved> resolve(const Btf& btf, u32 id) {
  constexpr int kMaxDepth = 32;
  Resolved resolved;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const btf_type* type = btf.type(id);
    if (!type) return fail(EINVAL);
    switch (Btf::kind(*type)) {
      case BTF_KIND_TYPEDEF:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_CONST:
      case BTF_KIND_RESTRICT:
      case BTF_KIND_TYPE_TAG: id = type->type; continue;
      case BTF_KIND_ARRAY: {
        const btf_array& array = btf.array(*type);
        resolved.is_array = true;
        resolved.count *= array.nelems;
        id = array.type;
        continue;
      }
      case BTF_KIND_PTR: resolved.size = 8; break;
      case BTF_KIND_INT:
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64:
      case BTF_KIND_FLOAT: resolved.size = type->size; break;
      default: return fail(EINVAL);
    }
    resolved.element = type;
    resolved.element_id = id;
    resolved.size *= resolved.count;
    return resolved;
  }
  return fail(EINVAL);
}

// One step: what lies at an offset of a struct.
struct MemberStep {
  enum Kind { kScalarField, kPointer, kNested } kind = kScalarField;
  u32 id = 0;
  u32 flags = 0;
};

u32 pointer_flags(const Btf& btf, const btf_type& pointer) {
  const btf_type* target = btf.type(pointer.type);
  if (!target || Btf::kind(*target) != BTF_KIND_TYPE_TAG) return 0;
  std::string_view tag = btf.string(target->name_off);
  return tag == "user" ? kUser : tag == "percpu" ? kPercpu : 0;
}

// Looks up fields of one struct, going into nested ones (kernel: btf_struct_walk).
class Walk {
 public:
  Walk(const Btf& btf, VerifierLog& log, u32 off, u32 size) : btf_(btf), log_(log), off_(off), size_(size) {}

  Result<MemberStep> run(const btf_type* type) {
    while (true) {
      name_ = name(type->name_off);
      if (!is_struct(*type)) {
        log_.print("Type '{}' is not a struct\n", name_);
        return fail(EINVAL);
      }
      Result<MemberStep> step = MemberStep{};
      const btf_type* inner = nullptr;
      if (off_ + size_ > type->size) {
        inner = flexible_element(*type);
        if (!inner) {
          log_.print("access beyond struct {} at off {} size {}\n", name_, off_, size_);
          return fail(EACCES);
        }
        if (Btf::kind(*inner) == BTF_KIND_INT) return MemberStep{};
      } else {
        step = find(*type, inner);
      }
      if (!inner) return step;
      type = inner;
    }
  }

 private:
  const char* name(u32 offset) const { return offset ? btf_.string(offset) : "(anon)"; }

  // The element type of a last array without a size that the access falls into; off_ becomes the offset in the element.
  const btf_type* flexible_element(const btf_type& type) {
    auto members = btf_.members(type);
    if (members.empty()) return nullptr;
    const btf_member& last = members.back();
    const btf_type* array = btf_.skip_modifiers(last.type);
    if (!array || Btf::kind(*array) != BTF_KIND_ARRAY || btf_.array(*array).nelems != 0) return nullptr;
    u32 start = Btf::member_bit_offset(type, last) / 8;
    if (off_ < start) return nullptr;
    const btf_type* element = btf_.skip_modifiers(btf_.array(*array).type);
    if (!element || Btf::kind(*element) == BTF_KIND_INT) return element;
    if (!is_struct(*element) || element->size == 0) return nullptr;
    off_ = (off_ - start) % element->size;
    return element;
  }

  // The member that covers the access. Sets `inner` when the search goes on in a nested struct.
  Result<MemberStep> find(const btf_type& type, const btf_type*& inner) {
    for (const btf_member& member : btf_.members(type)) {
      u32 bit_offset = Btf::member_bit_offset(type, member), start = bit_offset / 8;
      if (off_ + size_ <= start) break;
      if (u32 bits = Btf::member_bitfield_size(type, member)) {
        u32 end = (bit_offset + bits + 7) / 8;
        if (off_ <= start && end <= off_ + size_) return MemberStep{};
        continue;
      }
      if (off_ < start) break;  // a hole
      auto resolved = resolve(btf_, member.type);
      if (!resolved) {
        log_.print("field {} doesn't have size\n", name(member.name_off));
        return fail(EFAULT);
      }
      u32 end = start + resolved->size;
      if (off_ >= end) continue;
      if (resolved->is_array) {
        u32 element_size = resolved->size / resolved->count;
        start += (off_ - start) / element_size * element_size;
      }
      return enter(member, *resolved, start, end, inner);
    }
    log_.print("struct {} doesn't have field at offset {}\n", name_, static_cast<s32>(off_));
    return fail(EINVAL);
  }

  Result<MemberStep> enter(const btf_member& member, const Resolved& resolved, u32 start, u32 end, const btf_type*& inner) {
    if (is_struct(*resolved.element)) {
      if (off_ == start) return MemberStep{MemberStep::kNested, resolved.element_id};
      off_ -= start;
      inner = resolved.element;
      return MemberStep{};
    }
    const char* member_name = name(member.name_off);
    if (Btf::kind(*resolved.element) == BTF_KIND_PTR) {
      if (size_ != 8 || off_ != start) {
        log_.print("cannot access ptr member {} with moff {} in struct {} with off {} size {}\n", member_name, start,
                   name_, off_, size_);
        return fail(EACCES);
      }
      u32 id = 0;
      const btf_type* target = btf_.skip_modifiers(resolved.element->type, &id);
      if (target && is_struct(*target)) return MemberStep{MemberStep::kPointer, id, pointer_flags(btf_, *resolved.element)};
    }
    if (off_ + size_ > end) {
      log_.print("access beyond the end of member {} (mend:{}) in struct {} with off {} size {}\n", member_name, end,
                 name_, off_, size_);
      return fail(EACCES);
    }
    return MemberStep{};
  }

  const Btf& btf_;
  VerifierLog& log_;
  u32 off_, size_;
  const char* name_ = "";
};

bool same_type(const Btf& a, u32 a_id, const Btf& b, u32 b_id) {
  return a_id == b_id && (&a == &b || a.type(a_id) == b.type(b_id));
}

int read_field(VerifierLog& log, const Btf& btf, u32 btf_id, int offset, int size, u32* next_btf_id, u32* flags) {
  auto field = btf_struct_access(btf, btf_id, offset, static_cast<u32>(size), Access::kRead, log);
  if (!field) return -field.error().value;
  *next_btf_id = field->btf_id;
  *flags = field->flags;
  return static_cast<int>(field->type);
}

// What a congestion control may change (kernel: bpf_tcp_ca_btf_struct_access).
struct WritableField {
  const char *structure, *path;
  u32 size;
  bool anywhere;  // not only at its first byte
};
constexpr WritableField kTcpFields[] = {
    {"sock", "sk_pacing_rate", 8, false},
    {"sock", "sk_pacing_status", 4, false},
    {"inet_connection_sock", "icsk_ca_priv", 104, true},
    {"inet_connection_sock", "icsk_ack.pending", 1, false},
    {"tcp_sock", "snd_cwnd", 4, false},
    {"tcp_sock", "snd_cwnd_cnt", 4, false},
    {"tcp_sock", "snd_ssthresh", 4, false},
    {"tcp_sock", "ecn_flags", 1, false},
};

int check_tcp_write(VerifierLog& log, const Btf& btf, u32 offset, u32 size) {
  for (const WritableField& field : kTcpFields) {
    auto start = btf.offset_of(field.structure, field.path);
    if (!start || offset < *start || offset >= *start + (field.anywhere ? field.size : 1)) continue;
    if (offset + size <= *start + field.size) return 0;
    log.print("write access at off {} with size {} beyond the member of tcp_sock ended at {}\n", offset, size,
              *start + field.size);
    return -EACCES;
  }
  log.print("no write support to tcp_sock at off {}\n", offset);
  return -EACCES;
}

}  // namespace

const char* btf_kind_name(const btf_type* type) {
  static constexpr const char* kNames[] = {
      "UNKNOWN", "INT",      "PTR",  "ARRAY",      "STRUCT", "UNION",   "ENUM",  "FWD",      "TYPEDEF",  "VOLATILE",
      "CONST",   "RESTRICT", "FUNC", "FUNC_PROTO", "VAR",    "DATASEC", "FLOAT", "DECL_TAG", "TYPE_TAG", "ENUM64"};
  u32 kind = type ? Btf::kind(*type) : 0;
  return kind < std::size(kNames) ? kNames[kind] : kNames[0];
}

Result<BtfField> btf_struct_access(const Btf& btf, u32 type_id, s64 off, u32 size, Access, VerifierLog& log) {
  u32 at = static_cast<u32>(off);
  while (const btf_type* type = btf.type(type_id)) {
    MemberStep step = TRY(Walk(btf, log, at, size).run(type));
    if (step.kind == MemberStep::kScalarField) return BtfField{};
    if (step.kind == MemberStep::kPointer) return BtfField{kPtrToBtfId, step.id, step.flags};
    type_id = step.id;
    at = 0;
  }
  return fail(EINVAL);
}

bool btf_struct_ids_match(const Btf& btf, u32 id, s64 off, const Btf& need_btf, u32 need_id, bool strict,
                          VerifierLog& log) {
  if (off == 0 && same_type(btf, id, need_btf, need_id)) return true;
  if (strict) return false;
  u32 at = static_cast<u32>(off);
  do {
    const btf_type* type = btf.type(id);
    if (!type) return false;
    auto step = Walk(btf, log, at, 1).run(type);
    if (!step || step->kind != MemberStep::kNested) return false;
    id = step->id;
    at = 0;
  } while (!same_type(btf, id, need_btf, need_id));
  return true;
}

// Connection tracking entries are writable in part, but only with its module loaded (kernel: nfct_btf_struct_access).
int connection_access(const ProgInfo&, VerifierLog& log, const Btf& btf, u32 btf_id, int offset, int size,
                      Access access, u32* next_btf_id, u32* flags) {
  if (access == Access::kWrite) return -EACCES;
  return read_field(log, btf, btf_id, offset, size, next_btf_id, flags);
}

int struct_ops_field_access(const ProgInfo& prog, VerifierLog& log, const Btf& btf, u32 btf_id, int offset, int size,
                            Access access, u32* next_btf_id, u32* flags) {
  bool dummy = prog.attach_btf && std::string_view(prog.attach_btf->type_name(prog.attach_btf_id)) == "bpf_dummy_ops";
  if (dummy) {
    auto state = btf.find("bpf_dummy_ops_state", BTF_KIND_STRUCT);
    if (!state) return -EINVAL;
    if (btf_id != *state) {
      log.print("only access to bpf_dummy_ops_state is supported\n");
      return -EACCES;
    }
  }
  if (access == Access::kRead || dummy) {
    int type = read_field(log, btf, btf_id, offset, size, next_btf_id, flags);
    return access == Access::kRead || type < 0 ? type : 0;
  }
  auto tcp_sock = btf.find("tcp_sock", BTF_KIND_STRUCT);
  if (!tcp_sock || btf_id != *tcp_sock) {
    log.print("only read is supported\n");
    return -EACCES;
  }
  return check_tcp_write(log, btf, static_cast<u32>(offset), static_cast<u32>(size));
}

}  // namespace bpfemu
