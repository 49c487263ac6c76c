// SPDX-License-Identifier: Apache-2.0
// BTF type information: parsed, checked as the kernel checks it (kernel: btf_parse), and asked about types.
#pragma once

#include <linux/btf.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/object.h"
#include "emu/base/result.h"

namespace bpfemu {

class VerifierLog;

class Btf : public Object {
 public:
  // Checks and takes over `raw`. With a log, writes what the kernel's btf_verifier_log would. EINVAL, E2BIG,
  // ENOTSUPP...
  static Result<std::shared_ptr<Btf>> load(std::vector<u8> raw, VerifierLog* log,
                                           const std::function<void()>& breathe = [] {});
  // The profile's own BTF: named "vmlinux", trusted, not checked type by type.
  static Result<std::shared_ptr<Btf>> load_kernel(std::vector<u8> raw, std::string name);
  // The same, fetched when somebody first asks about it: most tools never do, and unpacking takes milliseconds. When
  // the source fails, it is a BTF without types.
  using Source = std::function<Result<std::vector<u8>>()>;
  static std::shared_ptr<Btf> load_kernel_lazily(Source source, std::string name);

  std::span<const u8> raw() const {
    fetch();
    return raw_;
  }
  bool is_kernel() const { return kernel_; }
  const std::string& name() const { return name_; }

  // Type 0 is void. Null when out of range.
  const btf_type* type(u32 id) const;
  u32 type_count() const {
    fetch();
    return static_cast<u32>(offsets_.size());
  }
  // The string at `offset`, "" for 0, null when out of range.
  const char* string(u32 offset) const;
  const char* type_name(u32 id) const;

  // The first type of `kind` with this name: ENOENT (kernel: btf_find_by_name_kind).
  Result<u32> find(std::string_view name, u32 kind) const;
  // Follows typedefs and modifiers (const, volatile, restrict, type tags) to a real type.
  const btf_type* skip_modifiers(u32 id, u32* resolved_id = nullptr) const;
  // Size in bytes of a type, arrays included: EINVAL for functions, void and the like (kernel: btf_resolve_size).
  Result<u32> size_of(u32 id) const;

  static u32 kind(const btf_type& type) { return BTF_INFO_KIND(type.info); }
  static u32 vlen(const btf_type& type) { return BTF_INFO_VLEN(type.info); }
  static bool kind_flag(const btf_type& type) { return BTF_INFO_KFLAG(type.info); }
  std::span<const btf_member> members(const btf_type& type) const;
  std::span<const btf_param> params(const btf_type& type) const;
  const btf_array& array(const btf_type& type) const;
  static u32 member_bit_offset(const btf_type& type, const btf_member& member) {
    return kind_flag(type) ? BTF_MEMBER_BIT_OFFSET(member.offset) : member.offset;
  }
  static u32 member_bitfield_size(const btf_type& type, const btf_member& member) {
    return kind_flag(type) ? BTF_MEMBER_BITFIELD_SIZE(member.offset) : 0;
  }

  // Byte offset and type of `path` ("se.sum_exec_runtime", anonymous members searched) in a struct: ENOENT.
  struct Place {
    u32 offset, type;
  };
  Result<Place> place_of(std::string_view structure, std::string_view path) const;
  Result<u32> offset_of(std::string_view structure, std::string_view path) const;

 private:
  friend class BtfCheck;
  Btf() : Object(ObjectKind::kBtf) {}
  void fetch() const {
    if (source_) fetch_now();
  }
  void fetch_now() const;
  // Finds the sections of raw_ and where each type begins. EINVAL.
  Result<void> index() const;
  void index_names() const;
  Result<Place> place_in(u32 structure, std::string_view path, u32 depth) const;

  mutable std::vector<u8> raw_;
  mutable std::span<const u8> types_, strings_;
  mutable std::vector<u32> offsets_;  // of each type in types_
  std::vector<u8> realigned_;         // types_, when raw_ holds them unaligned
  // Hash table of names, built at the first find(): the lowest id of a bucket, and for each id the next of its bucket.
  mutable std::vector<u32> buckets_, next_in_bucket_;
  mutable Source source_;
  std::string name_;
  bool kernel_ = false;
};

}  // namespace bpfemu
