// SPDX-License-Identifier: Apache-2.0
// Writes BTF byte by byte, right or wrong.
#pragma once

#include <linux/btf.h>

#include <cstring>
#include <string>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

class BtfBuilder {
 public:
  u32 string(const char* text) {
    u32 at = static_cast<u32>(strings.size());
    strings.append(text, std::strlen(text) + 1);
    return at;
  }
  // One struct btf_type and the words that follow it; the id it gets.
  u32 type(u32 name, u32 kind, u32 vlen, u32 size_or_type, std::vector<u32> more = {}, bool flag = false) {
    types.insert(types.end(), {name, u32{flag} << 31 | kind << 24 | vlen, size_or_type});
    types.insert(types.end(), more.begin(), more.end());
    return ++count;
  }
  u32 integer(const char* name, u32 size, u32 encoding = BTF_INT_SIGNED) {
    return type(string(name), BTF_KIND_INT, 0, size, {encoding << 24 | size * 8});
  }
  std::vector<u8> bytes() const {
    btf_header header{};
    header.magic = BTF_MAGIC;
    header.version = BTF_VERSION;
    header.hdr_len = sizeof header;
    header.type_len = static_cast<u32>(types.size() * 4);
    header.str_off = header.type_len;
    header.str_len = static_cast<u32>(strings.size());
    std::vector<u8> out(sizeof header + types.size() * 4 + strings.size());
    std::memcpy(out.data(), &header, sizeof header);
    if (!types.empty()) std::memcpy(out.data() + sizeof header, types.data(), types.size() * 4);
    std::memcpy(out.data() + sizeof header + types.size() * 4, strings.data(), strings.size());
    return out;
  }

  std::string strings = std::string(1, '\0');
  std::vector<u32> types;
  u32 count = 0;
};

}  // namespace bpfemu
