// SPDX-License-Identifier: Apache-2.0
// Ids of functions in the kernel's BTF, for programs that name what they attach to by them.
#pragma once

#include "counter.h"

#include <linux/btf.h>
#include <sys/stat.h>

// What follows a struct btf_type, in bytes.
static inline uint32_t btf_tail(const struct btf_type* type) {
  const uint32_t count = type->info & 0xffff;
  switch (type->info >> 24 & 0x1f) {
    case BTF_KIND_INT: return 4;
    case BTF_KIND_ARRAY: return sizeof(struct btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION: return count * sizeof(struct btf_member);
    case BTF_KIND_ENUM: return count * sizeof(struct btf_enum);
    case BTF_KIND_FUNC_PROTO: return count * sizeof(struct btf_param);
    case BTF_KIND_VAR: return 4;
    case BTF_KIND_DATASEC: return count * sizeof(struct btf_var_secinfo);
    case BTF_KIND_DECL_TAG: return 4;
    case BTF_KIND_ENUM64: return count * 12;
    default: return 0;
  }
}

// The id of a type of this kind and name, 0: there is none. The file is read once.
static inline uint32_t btf_id(uint32_t kind, const char* name) {
  static char* data;
  if (!data) {
    const int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) return 0;
    data = malloc(st.st_size);
    for (ssize_t at = 0, n; (n = read(fd, data + at, st.st_size - at)) > 0;) at += n;
    close(fd);
  }
  const struct btf_header* header = (const void*)data;
  const char* types = data + header->hdr_len + header->type_off;
  const char* strings = data + header->hdr_len + header->str_off;
  uint32_t id = 1;
  for (const char* at = types; at < types + header->type_len; ++id) {
    const struct btf_type* type = (const void*)at;
    if ((type->info >> 24 & 0x1f) == kind && strcmp(strings + type->name_off, name) == 0) return id;
    at += sizeof *type + btf_tail(type);
  }
  return 0;
}
