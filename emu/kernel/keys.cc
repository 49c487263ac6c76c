// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/keys.h"

#include <fmt/format.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>

namespace bpfemu {

// The host's kernel knows the task's keys. Whether it may search one is asked only when a key is used.
u64 Keys::user(Task& task, s32 serial, bool create) {
  const auto found = task.call(SYS_keyctl, {KEYCTL_GET_KEYRING_ID, static_cast<u64>(s64{serial}), create});
  if (!found) {
    switch (found.error().value) {
      case EACCES:
      case EKEYREVOKED:
      case EKEYEXPIRED: break;
      case EPERM:
      case ENOSYS: unmodelled_.note("keys where the host keeps them from its processes"); [[fallthrough]];
      default: return 0;
    }
  }
  const s32 number = found ? static_cast<s32>(*found) : serial;
  const KernelObject key = space_.object(space_.structure("key"), fmt::format("{}", number));
  key.set("serial", number);
  return key ? hold(key.address(), true) : 0;
}

u64 Keys::system(u64 id) { return hold(id, false); }

u64 Keys::hold(u64 key, bool has_reference) {
  std::string name = fmt::format("{}", ++held_);
  const KernelObject held = space_.object(space_.structure("bpf_key"), name);
  if (!held) return 0;
  held.set("key", key);
  held.set("has_ref", has_reference);
  names_[held.address()] = std::move(name);
  return held.address();
}

void Keys::put(u64 key) {
  const auto name = names_.find(key);
  if (name == names_.end()) return;
  space_.forget(space_.structure("bpf_key"), name->second);
  names_.erase(name);
}

}  // namespace bpfemu
