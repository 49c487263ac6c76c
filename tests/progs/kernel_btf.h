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

// The BTF of the kernel, null without; the file is read once.
static inline const struct btf_header* kernel_btf(void) {
  static char* data;
  const int fd = data ? -1 : open("/sys/kernel/btf/vmlinux", O_RDONLY);
  struct stat st;
  if (!data && fd >= 0 && fstat(fd, &st) == 0) {
    data = malloc(st.st_size);
    for (ssize_t at = 0, n; (n = read(fd, data + at, st.st_size - at)) > 0;) at += n;
  }
  if (fd >= 0) close(fd);
  return (const void*)data;
}

static inline const char* btf_name(const struct btf_header* header, uint32_t offset) {
  return (const char*)header + header->hdr_len + header->str_off + offset;
}

// The first type from `id` on that has this kind and, unless null, this name; null: there is none. `id` is its id then.
static inline const struct btf_type* btf_find(uint32_t kind, const char* name, uint32_t* id) {
  const struct btf_header* header = kernel_btf();
  if (!header) return NULL;
  const char* types = (const char*)header + header->hdr_len + header->type_off;
  uint32_t each = 1;
  for (const char* at = types; at < types + header->type_len; ++each) {
    const struct btf_type* type = (const void*)at;
    at += sizeof *type + btf_tail(type);
    if (each < *id || (kind && (type->info >> 24 & 0x1f) != kind)) continue;
    if (name && strcmp(btf_name(header, type->name_off), name) != 0) continue;
    *id = each;
    return type;
  }
  return NULL;
}

// The id of a type of this kind and name, 0: there is none.
static inline uint32_t btf_id(uint32_t kind, const char* name) {
  uint32_t id = 1;
  return btf_find(kind, name, &id) ? id : 0;
}

// Where a member of a struct or of its anonymous members lies, in bytes; -1: there is none of that name.
static inline int btf_member_offset(const struct btf_type* type, const char* name) {
  const struct btf_member* members = (const void*)(type + 1);
  const uint32_t kind = type->info >> 24 & 0x1f;
  if (kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) return -1;
  for (uint32_t i = 0; i < (type->info & 0xffff); ++i) {
    const int at = (members[i].offset & 0xffffff) / 8;
    if (members[i].name_off) {
      if (strcmp(btf_name(kernel_btf(), members[i].name_off), name) == 0) return at;
      continue;
    }
    uint32_t id = members[i].type;
    const int within = btf_member_offset(btf_find(0, NULL, &id), name);
    if (within >= 0) return at + within;
  }
  return -1;
}

static inline int btf_offset(const char* structure, const char* member) {
  uint32_t id = 1;
  const struct btf_type* type = btf_find(BTF_KIND_STRUCT, structure, &id);
  return type ? btf_member_offset(type, member) : -1;
}
