// SPDX-License-Identifier: Apache-2.0
#include "emu/btf/btf.h"

#include <cstring>

#include "emu/base/bytes.h"
#include "emu/btf/kinds.h"

namespace bpfemu {

namespace {

constexpr u32 kDepthLimit = 32;  // kernel: MAX_RESOLVE_DEPTH

bool is_modifier(u32 kind) {
  return kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_CONST || kind == BTF_KIND_RESTRICT ||
         kind == BTF_KIND_TYPE_TAG;
}

// FNV-1a.
u32 hash_of(std::string_view text) {
  u32 hash = 0x811c9dc5;
  for (unsigned char c : text) hash = (hash ^ c) * 0x01000193;
  return hash;
}

template <class T>
const T* after(const btf_type& type) {
  return reinterpret_cast<const T*>(&type + 1);
}

}  // namespace

Result<std::shared_ptr<Btf>> Btf::load_kernel(std::vector<u8> raw, std::string name) {
  auto btf = std::shared_ptr<Btf>(new Btf);
  btf->raw_ = std::move(raw);
  btf->name_ = std::move(name);
  btf->kernel_ = true;
  TRY(btf->index());
  return btf;
}

std::shared_ptr<Btf> Btf::load_kernel_lazily(Source source, std::string name) {
  auto btf = std::shared_ptr<Btf>(new Btf);
  btf->source_ = std::move(source);
  btf->name_ = std::move(name);
  btf->kernel_ = true;
  return btf;
}

void Btf::fetch_now() const {
  auto raw = std::exchange(source_, nullptr)();
  if (raw) raw_ = std::move(*raw);
  if (!raw || !index()) {
    types_ = strings_ = {};
    offsets_.assign(1, 0);
  }
}

Result<void> Btf::index() const {
  if (raw_.size() < sizeof(btf_header)) return fail(EINVAL);
  auto header = bpfemu::load<btf_header>(raw_.data());
  u64 types = u64{header.hdr_len} + header.type_off, strings = u64{header.hdr_len} + header.str_off;
  if (header.magic != BTF_MAGIC || header.type_len % 4 != 0 || types % 4 != 0 || header.str_len == 0 ||
      types + header.type_len > raw_.size() || strings + header.str_len > raw_.size() ||
      raw_[strings + header.str_len - 1] != 0) {
    return fail(EINVAL);
  }
  types_ = {raw_.data() + types, header.type_len};
  strings_ = {raw_.data() + strings, header.str_len};
  offsets_.reserve(types_.size() / 28);
  offsets_.assign(1, 0);  // void
  for (u32 at = 0; at < types_.size();) {
    if (types_.size() - at < sizeof(btf_type)) return fail(EINVAL);
    const auto& type = *reinterpret_cast<const btf_type*>(types_.data() + at);
    if (kind(type) == BTF_KIND_UNKN || kind(type) > BTF_KIND_MAX) return fail(EINVAL);
    u32 size = btf_type_bytes(kind(type), vlen(type));
    if (types_.size() - at < size) return fail(EINVAL);
    offsets_.push_back(at);
    at += size;
  }
  return {};
}

void Btf::index_names() const {
  buckets_.assign(round_up_power_of_two(offsets_.size()), 0);
  next_in_bucket_.assign(offsets_.size(), 0);
  for (u32 id = static_cast<u32>(offsets_.size()); id-- > 1;) {
    const char* name = type_name(id);
    if (!name || !*name) continue;
    u32& bucket = buckets_[hash_of(name) & (buckets_.size() - 1)];
    next_in_bucket_[id] = std::exchange(bucket, id);
  }
}

const btf_type* Btf::type(u32 id) const {
  static const btf_type kVoid{};
  fetch();
  if (id == 0) return &kVoid;
  if (id >= offsets_.size()) return nullptr;
  return reinterpret_cast<const btf_type*>(types_.data() + offsets_[id]);
}

const char* Btf::string(u32 offset) const {
  fetch();
  return offset < strings_.size() ? reinterpret_cast<const char*>(strings_.data()) + offset : nullptr;
}

const char* Btf::type_name(u32 id) const {
  const btf_type* found = type(id);
  return found ? string(found->name_off) : nullptr;
}

Result<u32> Btf::find(std::string_view name, u32 wanted) const {
  fetch();
  if (buckets_.empty()) index_names();
  for (u32 id = buckets_[hash_of(name) & (buckets_.size() - 1)]; id != 0; id = next_in_bucket_[id]) {
    if (kind(*type(id)) == wanted && name == type_name(id)) return id;
  }
  return fail(ENOENT);
}

const btf_type* Btf::skip_modifiers(u32 id, u32* resolved_id) const {
  const btf_type* found = type(id);
  for (u32 depth = 0; found && is_modifier(kind(*found)); ++depth) {
    if (depth == kDepthLimit) return nullptr;
    id = found->type;
    found = type(id);
  }
  if (resolved_id) *resolved_id = id;
  return found;
}

Result<u32> Btf::size_of(u32 id) const {
  u64 count = 1;
  for (u32 depth = 0; depth < kDepthLimit; ++depth) {
    const btf_type* found = skip_modifiers(id);
    if (!found) return fail(EINVAL);
    switch (kind(*found)) {
      case BTF_KIND_ARRAY:
        count *= array(*found).nelems;
        id = array(*found).type;
        break;
      case BTF_KIND_VAR: id = found->type; break;
      case BTF_KIND_PTR: return count * 8 > ~u32{0} ? Result<u32>(fail(EINVAL)) : static_cast<u32>(count * 8);
      default:
        if (!kBtfKinds[kind(*found)].has_size || count * found->size > ~u32{0}) return fail(EINVAL);
        return static_cast<u32>(count * found->size);
    }
    if (count > ~u32{0}) return fail(EINVAL);
  }
  return fail(EINVAL);
}

std::span<const btf_member> Btf::members(const btf_type& type) const {
  if (kind(type) != BTF_KIND_STRUCT && kind(type) != BTF_KIND_UNION) return {};
  return {after<btf_member>(type), vlen(type)};
}

std::span<const btf_param> Btf::params(const btf_type& type) const {
  if (kind(type) != BTF_KIND_FUNC_PROTO) return {};
  return {after<btf_param>(type), vlen(type)};
}

const btf_array& Btf::array(const btf_type& type) const {
  return *after<btf_array>(type);
}

Result<Btf::Place> Btf::place_of(std::string_view structure, std::string_view path) const {
  auto id = find(structure, BTF_KIND_STRUCT);
  if (!id) id = find(structure, BTF_KIND_UNION);
  if (!id) return fail(id.error().value);
  return place_in(*id, path, 0);
}

Result<u32> Btf::offset_of(std::string_view structure, std::string_view path) const {
  return TRY(place_of(structure, path)).offset;
}

// Members of anonymous structs and unions count as the outer one's own, as in C.
Result<Btf::Place> Btf::place_in(u32 structure, std::string_view path, u32 depth) const {
  const btf_type* outer = skip_modifiers(structure);
  if (!outer || depth == kDepthLimit) return fail(ENOENT);
  size_t dot = path.find('.');
  std::string_view head = path.substr(0, dot);
  for (const btf_member& member : members(*outer)) {
    u32 offset = member_bit_offset(*outer, member) / 8;
    const char* name = string(member.name_off);
    if (!name) continue;
    if (*name == 0) {
      if (auto inner = place_in(member.type, path, depth + 1)) return Place{offset + inner->offset, inner->type};
    } else if (head == name) {
      if (dot == std::string_view::npos) return Place{offset, member.type};
      const Place inner = TRY(place_in(member.type, path.substr(dot + 1), depth + 1));
      return Place{offset + inner.offset, inner.type};
    }
  }
  return fail(ENOENT);
}

}  // namespace bpfemu
