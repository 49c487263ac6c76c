// SPDX-License-Identifier: Apache-2.0
// struct bpf_key: a key, or a set of the system's, that a program holds (kernel: bpf_lookup_user_key).
#pragma once

#include "emu/base/log.h"
#include "emu/kernel/object_space.h"
#include "emu/ports/task.h"

namespace bpfemu {

class Keys {
 public:
  Keys(ObjectSpace& space, Unmodelled& unmodelled) : space_(space), unmodelled_(unmodelled) {}

  // The task's own key or keyring, by number or by what stands for one (KEY_SPEC_*); `create`: one of those is made where
  // there is none. 0: there is no such key.
  u64 user(Task& task, s32 serial, bool create);
  // Keys that the kernel has from its maker and its firmware (kernel: VERIFY_USE_*).
  u64 system(u64 id);
  void put(u64 key);

 private:
  u64 hold(u64 key, bool has_reference);

  ObjectSpace& space_;
  Unmodelled& unmodelled_;
  u64 held_ = 0;                               // how many there ever were
  std::unordered_map<u64, std::string> names_;  // of those that are held, by address
};

}  // namespace bpfemu
