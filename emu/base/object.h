// SPDX-License-Identifier: Apache-2.0
// Kernel objects that a file descriptor can name. Lifetime is shared ownership: a carrier, a pin, a link or a
// referencing object holds a shared_ptr; ids hold weak ones.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "emu/base/result.h"

namespace bpfemu {

enum class ObjectKind { kMap, kProgram, kBtf, kLink, kPerfEvent, kIterator, kSocket };

class Object {
 public:
  explicit Object(ObjectKind kind) : kind_(kind) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ObjectKind kind() const { return kind_; }
  u32 id() const { return id_; }
  // Arena address of its runtime half (ProgramText, Map, PerfEventState), which elements of program, perf event and map
  // arrays hold; 0: it has none, and cannot be put into one.
  virtual u64 runtime_address() const { return 0; }

 protected:
  u32 id_ = 0;

 private:
  template <class T>
  friend class IdSpace;
  ObjectKind kind_;
};

// Ids of one kind of object, handed out as the kernel's idr_alloc_cyclic does: upwards from 1, never reused soon.
template <class T>
class IdSpace {
 public:
  void add(const std::shared_ptr<T>& object) {
    if (objects_.size() >= sweep_at_) {
      std::erase_if(objects_, [](const auto& entry) { return entry.second.expired(); });
      sweep_at_ = 2 * objects_.size() + kSweepSpan;
    }
    object->id_ = ++last_;
    objects_.emplace_hint(objects_.end(), last_, object);
  }
  // ENOENT: no such id, or its last reference is gone.
  Result<std::shared_ptr<T>> find(u32 id) const {
    auto it = objects_.find(id);
    auto object = it == objects_.end() ? nullptr : it->second.lock();
    if (!object) return fail(ENOENT);
    return object;
  }
  // The lowest living id above `after`: ENOENT (kernel: bpf_obj_get_next_id).
  Result<u32> next(u32 after) {
    for (auto it = objects_.upper_bound(after); it != objects_.end();) {
      if (!it->second.expired()) return it->first;
      it = objects_.erase(it);
    }
    return fail(ENOENT);
  }

 private:
  static constexpr size_t kSweepSpan = 64;

  u32 last_ = 0;
  std::map<u32, std::weak_ptr<T>> objects_;
  size_t sweep_at_ = kSweepSpan;  // so many entries, and those of dead objects go
};

}  // namespace bpfemu
