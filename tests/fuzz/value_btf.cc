// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/value_btf.h"

#include <linux/btf.h>
#include <string.h>

#include <algorithm>

namespace bpfemu::fuzz {

std::vector<u8> value_btf() {
  static constexpr char strings[] =
      "\0int\0long\0bpf_spin_lock\0bpf_timer\0val\0lock\0count\0total\0value\0timer\0pad\0local\0shared";
  auto name = [](const char* text) {
    size_t size = strlen(text) + 1;
    return static_cast<u32>(std::search(strings, strings + sizeof strings, text, text + size) - strings);
  };
  auto kind = [](u32 kind, u32 count) { return kind << 24 | count; };
  const u32 types[] = {
      name("int"),
      kind(BTF_KIND_INT, 0),
      4,
      1u << 24 | 32,
      name("long"),
      kind(BTF_KIND_INT, 0),
      8,
      64,
      name("bpf_spin_lock"),
      kind(BTF_KIND_STRUCT, 1),
      4,
      name("value"),
      1,
      0,
      name("val"),
      kind(BTF_KIND_STRUCT, 3),
      16,
      name("lock"),
      3,
      0,
      name("count"),
      1,
      32,
      name("total"),
      2,
      64,
      name("bpf_timer"),
      kind(BTF_KIND_STRUCT, 1),
      16,
      name("pad"),
      7,
      0,
      name("val"),
      kind(BTF_KIND_STRUCT, 2),
      24,
      name("total"),
      2,
      0,
      name("timer"),
      5,
      64,
      0,
      kind(BTF_KIND_ARRAY, 0),
      0,
      2,
      1,
      2,
      0,
      kind(BTF_KIND_FUNC_PROTO, 0),
      1,
      name("local"),
      kind(BTF_KIND_FUNC, BTF_FUNC_STATIC),
      8,
      0,
      kind(BTF_KIND_FUNC_PROTO, 1),
      1,
      name("value"),
      1,
      name("shared"),
      kind(BTF_KIND_FUNC, BTF_FUNC_GLOBAL),
      10,
  };
  btf_header header{};
  header.magic = BTF_MAGIC;
  header.version = BTF_VERSION;
  header.hdr_len = sizeof header;
  header.type_len = sizeof types;
  header.str_off = sizeof types;
  header.str_len = sizeof strings;
  std::vector<u8> blob(sizeof header + sizeof types + sizeof strings);
  memcpy(blob.data(), &header, sizeof header);
  memcpy(blob.data() + sizeof header, types, sizeof types);
  memcpy(blob.data() + sizeof header + sizeof types, strings, sizeof strings);
  return blob;
}

}  // namespace bpfemu::fuzz
