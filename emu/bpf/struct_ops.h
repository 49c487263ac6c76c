// SPDX-License-Identifier: Apache-2.0
// The kernel structures that programs can implement (kernel: bpf_struct_ops_types.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "emu/btf/btf.h"

namespace bpfemu {

inline constexpr std::string_view kStructOps[] = {"bpf_dummy_ops", "tcp_congestion_ops"};

inline bool is_struct_ops(std::string_view name) {
  for (std::string_view known : kStructOps) {
    if (known == name) return true;
  }
  return false;
}

// The size of a STRUCT_OPS map's value of BTF type `value_id`, none when that is no such value (kernel:
// bpf_struct_ops_find_value).
inline std::optional<u32> struct_ops_value_size(const Btf& vmlinux, u32 value_id) {
  for (std::string_view name : kStructOps) {
    auto id = vmlinux.find(std::string("bpf_struct_ops_").append(name), BTF_KIND_STRUCT);
    if (id && *id == value_id) return vmlinux.type(value_id)->size;
  }
  return std::nullopt;
}

}  // namespace bpfemu
