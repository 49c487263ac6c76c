// SPDX-License-Identifier: Apache-2.0
// Short questions about BTF types.
#pragma once

#include "emu/btf/btf.h"

namespace bpfemu {

inline bool is_struct(const btf_type& t) {
  u32 kind = Btf::kind(t);
  return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
}
inline bool is_int_or_enum(const btf_type& t) {
  u32 kind = Btf::kind(t);
  return kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
}
inline bool is_pointer(const btf_type& t) {
  return Btf::kind(t) == BTF_KIND_PTR;
}
inline bool is_void(const btf_type& t) {
  return t.info == 0 && t.name_off == 0 && t.size == 0;
}

}  // namespace bpfemu
