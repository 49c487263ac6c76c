// SPDX-License-Identifier: Apache-2.0
// Kernel objects in the arena, laid out as the claimed kernel's BTF says. One stands for one thing of the host's (an
// inode, a socket, a name in a folder) and is found by that again, since programs use addresses as keys. Who builds a
// struct decides what identifies it and which members it fills in.
#pragma once

#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/base/bytes.h"
#include "emu/btf/btf.h"
#include "emu/kernel/told_fields.h"

namespace bpfemu {

// One struct of the claimed kernel.
class KernelStruct {
 public:
  // `name` and the paths below are literals: they are kept as they are. Members that are asked for are told.
  KernelStruct(std::shared_ptr<const Btf> btf, std::string_view name, ToldFields& told);
  // So many bytes that no type describes.
  explicit KernelStruct(u32 size) : size_(size) {}

  std::string_view name() const { return name_; }
  u32 id() const { return id_; }      // of the BTF type, 0: there is none
  u32 size() const { return size_; }  // 0: the claimed kernel has no such struct
  // Where `path` ("f_path.dentry", anonymous members searched) lies; none: this kernel's struct has no such member.
  std::optional<u32> offset(std::string_view path) const;
  // Which bit from the start of the struct a member of one bit is.
  std::optional<u32> bit(std::string_view member) const;

 private:
  std::shared_ptr<const Btf> btf_;
  std::string_view name_;
  ToldFields* told_ = nullptr;
  u32 id_ = 0, size_ = 0;
  mutable std::unordered_map<std::string_view, std::optional<u32>> offsets_;
};

// An object, or null. Setting what the struct does not have does nothing.
class KernelObject {
 public:
  KernelObject() = default;
  KernelObject(u64 address, const KernelStruct& type) : address_(address), type_(&type) {}

  explicit operator bool() const { return address_ != 0; }
  u64 address() const { return address_; }
  // Of a member; 0: there is none.
  u64 address(std::string_view path) const {
    const auto offset = address_ ? type_->offset(path) : std::nullopt;
    return offset ? address_ + *offset : 0;
  }
  // The caller gives a value of the member's own size.
  template <class T>
  void set(std::string_view path, T value) const {
    if (const u64 at = address(path)) store(reinterpret_cast<void*>(at), value);
  }

  // A member of one bit.
  bool bit(std::string_view member) const {
    const auto at = address_ ? type_->bit(member) : std::nullopt;
    return at && load<u8>(reinterpret_cast<const void*>(address_ + *at / 8)) >> *at % 8 & 1;
  }
  void set_bit(std::string_view member, bool value) const {
    const auto at = address_ ? type_->bit(member) : std::nullopt;
    if (!at) return;
    u8* const byte = reinterpret_cast<u8*>(address_ + *at / 8);
    const u8 mask = static_cast<u8>(1 << *at % 8);
    *byte = static_cast<u8>(value ? *byte | mask : *byte & ~mask);
  }
  // Into an array of `room` chars, cut with a NUL at its end.
  void set_text(std::string_view path, std::string_view text, size_t room) const {
    const u64 at = address(path);
    if (!at) return;
    std::memset(reinterpret_cast<void*>(at), 0, room);
    text.copy(reinterpret_cast<char*>(at), room - 1);
  }

 private:
  u64 address_ = 0;
  const KernelStruct* type_ = nullptr;
};

class ObjectSpace {
 public:
  // `btf` may be null: then there are no objects.
  ObjectSpace(Arena& arena, std::shared_ptr<const Btf> btf) : arena_(arena), btf_(std::move(btf)), told_(btf_) {}
  ~ObjectSpace();
  ObjectSpace(const ObjectSpace&) = delete;
  ObjectSpace& operator=(const ObjectSpace&) = delete;

  const KernelStruct& structure(std::string_view name);
  // The object of `type` that `identity` means, zeroed when it is new. Null: no such struct, or no memory. Of each struct
  // so many are kept; the one that was asked for longest ago goes first, unless somebody keeps something by it.
  KernelObject object(const KernelStruct& type, std::string_view identity, bool* is_new = nullptr);
  // What it meant is gone: the next that has the same identity is another.
  void forget(const KernelStruct& type, std::string_view identity);
  // The same of all whose identities begin so.
  void forget_all(const KernelStruct& type, std::string_view beginning);
  // The same of what bytes() gave, whatever its size.
  void forget_bytes(std::string_view identity);
  // It means something else from now on; what meant that before is gone.
  void rename(const KernelStruct& type, std::string_view identity, std::string_view new_identity);
  // Called before an address is no longer its object's, where somebody keeps something by it.
  std::function<void(u64 address)> forgotten;
  // Does somebody? Then many more are kept.
  std::function<bool(u64 address)> kept;
  size_t count(const KernelStruct& type) { return shelf(type).objects.size(); }
  // May the bytes be read: do they lie in the arena?
  bool holds(u64 address, u64 size) const { return address >= kArenaBase && address + size <= arena_.end(); }
  // A program reads bytes of the arena: of which members?
  void was_read(u64 address, u64 size);
  ToldFields& told_fields() { return told_; }
  // The text with a NUL behind it, as much as a path may have (PATH_MAX). 0: no memory.
  u64 text(std::string_view text);
  // So many bytes for whatever `identity` says: a power of two at least 256. 0: no memory.
  u64 bytes(std::string_view identity, u32 size);

  // What of the runtime an object shows, where somebody wants to get back to that; 0: nothing.
  void let_stand_for(u64 object, u64 context) { contexts_[object] = context; }
  u64 stands_for(u64 object) const {
    const auto found = contexts_.find(object);
    return found == contexts_.end() ? 0 : found->second;
  }
  // The `size` bytes at `address` are what the claimed kernel has at this address of its image or a module. `renew` brings
  // them up to date before they are read.
  void stands_at(u64 kernel_address, u64 address, u32 size, std::function<void(u64 address)> renew = {}) {
    statics_[kernel_address] = {address, size, std::move(renew)};
  }
  // Where in the arena the `size` bytes at a kernel address are. 0: what lies there is not modelled.
  u64 at_kernel_address(u64 address, u64 size) const;

  static constexpr size_t kMostObjects = 16384, kMostKept = 1 << 18;
  static constexpr u32 kShortText = 255;

 private:
  using Age = std::list<const std::string*>;  // the one asked for last in front
  struct Entry {
    u64 address;
    Age::iterator age;
  };
  // The objects of one struct, and room for more.
  struct Shelf {
    std::map<std::string, Entry, std::less<>> objects;
    Age age;
    std::vector<u64> free;
    std::vector<Extent> slabs;
  };
  Shelf& shelf(const KernelStruct& type) { return shelves_[&type]; }
  u64 room(Shelf& shelf, const KernelStruct& type);
  void drop(Shelf& shelf, std::map<std::string, Entry, std::less<>>::iterator object);
  void drop_oldest(Shelf& shelf);
  const KernelStruct& sized(size_t size);

  Arena& arena_;
  std::shared_ptr<const Btf> btf_;
  ToldFields told_;
  std::map<u64, const KernelStruct*> slabs_;  // of BTF types, by their ends
  std::unordered_map<std::string_view, std::unique_ptr<KernelStruct>> structs_;
  std::unordered_map<const KernelStruct*, Shelf> shelves_;
  std::unordered_map<u64, u64> contexts_;
  const KernelStruct text_{kShortText + 1};
  std::map<u32, KernelStruct> bytes_;
  struct Static {
    u64 address;
    u32 size;
    std::function<void(u64 address)> renew;
  };
  std::map<u64, Static> statics_;  // by their addresses in the kernel
};

}  // namespace bpfemu
