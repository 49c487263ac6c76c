// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/verifier_btf.h"

#include <linux/btf.h>
#include <string.h>

#include <cstdio>
#include <vector>

namespace bpfemu::fuzz {

namespace {

std::vector<u8> read_all(const char* path) {
  std::vector<u8> all;
  FILE* file = std::fopen(path, "rb");
  if (!file) return all;
  u8 part[1 << 16];
  for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;) all.insert(all.end(), part, part + n);
  std::fclose(file);
  return all;
}

// Bytes after struct btf_type.
u32 tail_size(u32 kind, u32 count) {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG: return 4;
    case BTF_KIND_ARRAY: return sizeof(btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION: return count * static_cast<u32>(sizeof(btf_member));
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO: return count * 8;
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64: return count * 12;
    default: return 0;
  }
}

}  // namespace

u32 kernel_type(const std::string& name, u32 wanted) {
  std::vector<u8> blob = read_all("/sys/kernel/btf/vmlinux");
  btf_header header;
  if (blob.size() < sizeof header) return 0;
  memcpy(&header, blob.data(), sizeof header);
  const u8* at = blob.data() + header.hdr_len + header.type_off;
  const char* strings = reinterpret_cast<const char*>(blob.data()) + header.hdr_len + header.str_off;
  u32 id = 0;
  for (const u8* end = at + header.type_len; at < end;) {
    btf_type type;
    memcpy(&type, at, sizeof type);
    u32 kind = BTF_INFO_KIND(type.info);
    at += sizeof type + tail_size(kind, BTF_INFO_VLEN(type.info));
    ++id;
    if (kind == wanted && name == strings + type.name_off) return id;
  }
  return 0;
}

}  // namespace bpfemu::fuzz
