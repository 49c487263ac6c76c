// SPDX-License-Identifier: Apache-2.0
// Context structs as tables: which bytes a program may read and write, in which sizes, and what a read yields.
// Kernel: the *_is_valid_access functions, most of which are a switch over the offsets of such fields.
#pragma once

#include <initializer_list>
#include <span>

#include "emu/verifier/prog_env.h"

namespace bpfemu {

// Sizes of an access, as a set: each size is its own bit.
inline constexpr u8 kByte = 1, kHalf = 2, kWord = 4, kWide = 8;
inline constexpr u8 kUpToWord = kByte | kHalf | kWord, kAnySize = kUpToWord | kWide;

inline constexpr u64 kAnyAttach = ~u64{0};
constexpr u64 attached_as(std::initializer_list<u32> types) {
  u64 set = 0;
  for (u32 type : types) set |= u64{1} << type;
  return set;
}

constexpr bool attach_type_in(u64 set, u32 type) {
  return set == kAnyAttach || (type < 64 && (set >> type & 1));
}

// The first row of a table of fields, each of bytes [first, end), that covers the offset. nullptr: none.
template <typename Field>
const Field* field_at(std::span<const Field> table, int offset) {
  for (const Field& field : table) {
    if (offset >= static_cast<int>(field.first) && offset < static_cast<int>(field.end)) return &field;
  }
  return nullptr;
}

struct CtxRule {
  u32 first, end;                                   // bytes [first, end) of the context
  u8 read = 0, write = 0;                           // sizes allowed
  u8 field_size = 0;                                // loaded whole when read in part
  RegType type = kScalar;                           // what a read yields
  u64 read_in = kAnyAttach, write_in = kAnyAttach;  // expected attach types
  bool head_only = false;                           // partial reads only at the first byte of each word
};

// The first rule that covers the offset decides; none: refused. Accesses must be aligned.
inline bool check_ctx_rules(std::span<const CtxRule> rules, int offset, int size, Access access, const ProgInfo& prog,
                            CtxAccess& info) {
  if (offset < 0 || offset % size != 0) return false;
  const CtxRule* rule = field_at(rules, offset);
  if (!rule) return false;
  const u32 first = static_cast<u32>(offset);
  const bool read = access == Access::kRead;
  if (!((read ? rule->read : rule->write) & size) || first + static_cast<u32>(size) > rule->end) return false;
  if (!attach_type_in(read ? rule->read_in : rule->write_in, prog.expected_attach_type)) return false;
  if (rule->head_only && (first - rule->first) % 4 != 0) return false;
  info.reg_type = rule->type;
  if (read) info.ctx_field_size = rule->field_size;
  return true;
}

}  // namespace bpfemu

// Bytes of a struct's field, or of fields from one to another.
#define CTX_FIELD(structure, field)                     \
  static_cast<bpfemu::u32>(offsetof(structure, field)), \
      static_cast<bpfemu::u32>(offsetof(structure, field) + sizeof(structure::field))
#define CTX_FIELDS(structure, from, to)                \
  static_cast<bpfemu::u32>(offsetof(structure, from)), \
      static_cast<bpfemu::u32>(offsetof(structure, to) + sizeof(structure::to))
