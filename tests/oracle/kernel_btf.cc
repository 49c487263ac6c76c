// SPDX-License-Identifier: Apache-2.0
// The kernel's own BTF, /sys/kernel/btf/vmlinux.
#include <fcntl.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

// Bytes behind the common part of a type.
u32 tail_size(const btf_type& type) {
  u32 vlen = BTF_INFO_VLEN(type.info);
  switch (BTF_INFO_KIND(type.info)) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG: return 4;
    case BTF_KIND_ARRAY: return sizeof(btf_array);
    case BTF_KIND_ENUM: return vlen * u32{sizeof(btf_enum)};
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION: return vlen * u32{sizeof(btf_member)};
    case BTF_KIND_FUNC_PROTO: return vlen * u32{sizeof(btf_param)};
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64: return vlen * 12;
    default: return 0;
  }
}

std::vector<u8> read_all(const char* path) {
  std::vector<u8> content;
  int fd = open(path, O_RDONLY);
  u8 buffer[65536];
  for (ssize_t n; fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0;) {
    content.insert(content.end(), buffer, buffer + n);
  }
  close(fd);
  return content;
}

}  // namespace

KernelType kernel_type(u32 kind, const std::string& name) {
  static const std::vector<u8> blob = read_all("/sys/kernel/btf/vmlinux");
  if (blob.size() < sizeof(btf_header)) return {};
  auto& header = *reinterpret_cast<const btf_header*>(blob.data());
  const u8* types = blob.data() + header.hdr_len + header.type_off;
  auto* strings = reinterpret_cast<const char*>(blob.data() + header.hdr_len + header.str_off);
  u32 id = 1;
  for (u32 at = 0; at < header.type_len; ++id) {
    auto& type = *reinterpret_cast<const btf_type*>(types + at);
    if (BTF_INFO_KIND(type.info) == kind && name == strings + type.name_off) return {id, type.size};
    at += u32{sizeof type} + tail_size(type);
  }
  return {};
}

}  // namespace oracle
