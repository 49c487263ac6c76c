// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/told_fields.h"

#include <algorithm>

namespace bpfemu {

namespace {

constexpr u32 kDeepest = 16;
constexpr size_t kMostReads = 4096;

// A member that is a struct or union, or an array of them.
struct Inner {
  u32 type = 0, size = 0;  // of one; 0: it is none
};

Inner inner_of(const Btf& btf, u32 id) {
  const btf_type* type = btf.skip_modifiers(id, &id);
  while (type && Btf::kind(*type) == BTF_KIND_ARRAY) type = btf.skip_modifiers(btf.array(*type).type, &id);
  if (!type || (Btf::kind(*type) != BTF_KIND_STRUCT && Btf::kind(*type) != BTF_KIND_UNION)) return {};
  return {id, type->size};
}

}  // namespace

void ToldFields::tell_within(u32 type, u32 offset, u32 size, u32 depth) {
  const btf_type* outer = btf_->type(type);
  if (!outer || depth == kDeepest || offset >= outer->size) return;
  size = std::min(size, outer->size - offset);
  std::vector<bool>& bytes = told_[type];
  bytes.resize(outer->size);
  std::fill_n(bytes.begin() + offset, size, true);
  for (const btf_member& member : btf_->members(*outer)) {
    const u32 at = Btf::member_bit_offset(*outer, member) / 8, all = btf_->size_of(member.type).value_or(0);
    const Inner inner = inner_of(*btf_, member.type);
    if (inner.size == 0 || offset + size <= at || offset >= at + all) continue;
    const u32 from = std::max(offset, at) - at;
    tell_within(inner.type, from % inner.size, std::min(offset + size, at + all) - at - from, depth + 1);
  }
}

void ToldFields::read(const FieldRead& read) {
  if (read.size > 0 && reads_.size() < kMostReads && !is_told(read)) reads_.insert(read);
}

// Of what is larger than a member some bytes suffice. What lies behind the struct is an array without a size. A struct
// within may have been told as one by itself.
bool ToldFields::is_told(const FieldRead& read, u32 depth) const {
  const btf_type* outer = btf_->type(read.type);
  if (!outer || read.offset >= outer->size || depth == kDeepest) return depth == 0;
  const u32 end = std::min(read.offset + read.size, outer->size);
  if (const auto known = told_.find(read.type); known != told_.end()) {
    const auto begin = known->second.begin() + read.offset, behind = known->second.begin() + end;
    if (std::find(begin, behind, true) != behind) return true;
  }
  return std::ranges::any_of(btf_->members(*outer), [&](const btf_member& member) {
    const u32 at = Btf::member_bit_offset(*outer, member) / 8, all = btf_->size_of(member.type).value_or(0);
    const Inner inner = inner_of(*btf_, member.type);
    if (inner.size == 0 || end <= at || read.offset >= at + all) return false;
    const u32 from = std::max(read.offset, at) - at;
    return is_told({inner.type, from % inner.size, std::min(end, at + all) - at - from}, depth + 1);
  });
}

std::string ToldFields::name(const FieldRead& read) const {
  const btf_type* outer = btf_->type(read.type);
  std::string path = btf_->string(outer->name_off);
  u32 offset = read.offset;
  for (u32 depth = 0; outer && depth < kDeepest; ++depth) {
    const btf_member* found = nullptr;
    u32 at = 0;
    for (const btf_member& member : btf_->members(*outer)) {
      const u32 begin = Btf::member_bit_offset(*outer, member) / 8;
      if (begin <= offset && offset < begin + std::max(btf_->size_of(member.type).value_or(0), 1u)) found = &member, at = begin;
    }
    if (!found) break;
    if (const char* own = btf_->string(found->name_off); own && *own) path.append(".").append(own);
    const Inner inner = inner_of(*btf_, found->type);
    if (inner.size == 0 || read.size >= inner.size) break;
    outer = btf_->type(inner.type);
    offset = (offset - at) % inner.size;
  }
  return path;
}

std::set<std::string> ToldFields::untold() const {
  std::set<std::string> names;
  for (const FieldRead& read : reads_)
    if (told_.contains(read.type) && !is_told(read)) names.insert(name(read));
  return names;
}

}  // namespace bpfemu
