// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/object_space.h"

#include <bit>
#include <climits>
#include <cstring>

namespace bpfemu {

namespace {

constexpr u32 kSpare = 64;  // behind each object: its flexible array, and a cache line of distance
constexpr u64 kSlab = 32 * 1024;
constexpr u32 kLooks = 16;  // at old objects, whether they are kept

u32 stride(u32 size) { return static_cast<u32>(round_up(size + kSpare, kSpare)); }

}  // namespace

KernelStruct::KernelStruct(std::shared_ptr<const Btf> btf, std::string_view name, ToldFields& told)
    : btf_(std::move(btf)), name_(name), told_(&told) {
  id_ = btf_ ? btf_->find(name, BTF_KIND_STRUCT).value_or(0) : 0;
  if (id_) size_ = btf_->size_of(id_).value_or(0);
}

std::optional<u32> KernelStruct::offset(std::string_view path) const {
  auto known = offsets_.find(path);
  if (known == offsets_.end()) {
    const auto found = id_ ? btf_->place_of(name_, path) : fail(ENOENT);
    known = offsets_.emplace(path, found ? std::optional<u32>(found->offset) : std::nullopt).first;
    if (found) told_->tell(id_, found->offset, btf_->size_of(found->type).value_or(0));
  }
  return known->second;
}

std::optional<u32> KernelStruct::bit(std::string_view member) const {
  if (!id_) return std::nullopt;
  const btf_type& type = *btf_->type(id_);
  for (const btf_member& each : btf_->members(type)) {
    const bool found = member == btf_->string(each.name_off) && Btf::member_bitfield_size(type, each) == 1;
    if (!found) continue;
    told_->tell(id_, Btf::member_bit_offset(type, each) / 8, 1);
    return Btf::member_bit_offset(type, each);
  }
  return std::nullopt;
}

ObjectSpace::~ObjectSpace() {
  for (const auto& [type, shelf] : shelves_)
    for (const Extent& slab : shelf.slabs) arena_.release(slab);
}

const KernelStruct& ObjectSpace::structure(std::string_view name) {
  auto known = structs_.find(name);
  if (known == structs_.end()) known = structs_.emplace(name, std::make_unique<KernelStruct>(btf_, name, told_)).first;
  return *known->second;
}

u64 ObjectSpace::room(Shelf& shelf, const KernelStruct& type) {
  if (shelf.free.empty()) {
    const u64 each = stride(type.size()), all = std::max(kSlab, each);
    const auto slab = arena_.allocate(all);
    if (!slab) return 0;
    shelf.slabs.push_back(*slab);
    if (type.id()) slabs_[slab->address + all] = &type;
    for (u64 at = 0; at + each <= all; at += each) shelf.free.push_back(slab->address + at);
  }
  const u64 address = shelf.free.back();
  shelf.free.pop_back();
  memset(reinterpret_cast<void*>(address), 0, stride(type.size()));
  return address;
}

KernelObject ObjectSpace::object(const KernelStruct& type, std::string_view identity, bool* is_new) {
  if (is_new) *is_new = false;
  if (type.size() == 0) return {};
  Shelf& shelf = this->shelf(type);
  auto known = shelf.objects.find(identity);
  if (known != shelf.objects.end()) {
    shelf.age.splice(shelf.age.begin(), shelf.age, known->second.age);
    return {known->second.address, type};
  }
  if (shelf.objects.size() >= kMostObjects) drop_oldest(shelf);
  const u64 address = room(shelf, type);
  if (!address) return {};
  known = shelf.objects.emplace(identity, Entry{address, {}}).first;
  known->second.age = shelf.age.insert(shelf.age.begin(), &known->first);
  if (is_new) *is_new = true;
  return {address, type};
}

void ObjectSpace::was_read(u64 address, u64 size) {
  const auto slab = slabs_.upper_bound(address);
  if (slab == slabs_.end()) return;
  const KernelStruct& type = *slab->second;
  const u64 each = stride(type.size()), all = std::max(kSlab, each), begin = slab->first - all;
  if (address < begin) return;
  told_.read({type.id(), static_cast<u32>((address - begin) % each), static_cast<u32>(std::min<u64>(size, type.size()))});
}

void ObjectSpace::forget(const KernelStruct& type, std::string_view identity) {
  Shelf& shelf = this->shelf(type);
  const auto known = shelf.objects.find(identity);
  if (known != shelf.objects.end()) drop(shelf, known);
}

void ObjectSpace::forget_all(const KernelStruct& type, std::string_view beginning) {
  Shelf& shelf = this->shelf(type);
  auto at = shelf.objects.lower_bound(beginning);
  while (at != shelf.objects.end() && at->first.starts_with(beginning)) drop(shelf, at++);
}

void ObjectSpace::forget_bytes(std::string_view identity) {
  for (const auto& [size, type] : bytes_) forget(type, identity);
}

void ObjectSpace::drop(Shelf& shelf, std::map<std::string, Entry, std::less<>>::iterator object) {
  if (forgotten) forgotten(object->second.address);
  shelf.free.push_back(object->second.address);
  shelf.age.erase(object->second.age);
  shelf.objects.erase(object);
}

// Where the oldest are all kept, there is one more.
void ObjectSpace::drop_oldest(Shelf& shelf) {
  for (u32 look = 0; look < kLooks; ++look) {
    const auto oldest = shelf.objects.find(*shelf.age.back());
    if (!kept || shelf.objects.size() >= kMostKept || !kept(oldest->second.address)) return drop(shelf, oldest);
    shelf.age.splice(shelf.age.begin(), shelf.age, oldest->second.age);
  }
}

void ObjectSpace::rename(const KernelStruct& type, std::string_view identity, std::string_view new_identity) {
  if (identity == new_identity) return;
  forget(type, new_identity);
  Shelf& shelf = this->shelf(type);
  const auto known = shelf.objects.find(identity);
  if (known == shelf.objects.end()) return;
  auto node = shelf.objects.extract(known);
  node.key() = new_identity;
  shelf.objects.insert(std::move(node));  // the node stays where it is, and so does what `age` points to
}

u64 ObjectSpace::text(std::string_view text) {
  text = text.substr(0, PATH_MAX - 1);
  bool is_new = false;
  const KernelStruct& room = text.size() <= kShortText ? text_ : sized(text.size() + 1);
  const KernelObject found = object(room, text, &is_new);
  if (is_new) std::memcpy(reinterpret_cast<void*>(found.address()), text.data(), text.size());
  return found.address();
}

const KernelStruct& ObjectSpace::sized(size_t size) {
  const u32 room = std::bit_ceil(std::max(static_cast<u32>(size), 256u));
  return bytes_.try_emplace(room, room).first->second;
}

u64 ObjectSpace::bytes(std::string_view identity, u32 size) {
  return object(sized(size), identity).address();
}

u64 ObjectSpace::at_kernel_address(u64 address, u64 size) const {
  auto after = statics_.upper_bound(address);
  if (after == statics_.begin()) return 0;
  const auto& [start, object] = *std::prev(after);
  const u64 offset = address - start;
  if (offset >= object.size || size > object.size - offset) return 0;
  if (object.renew) object.renew(object.address);
  return object.address + offset;
}

}  // namespace bpfemu
