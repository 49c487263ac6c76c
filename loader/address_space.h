// SPDX-License-Identifier: Apache-2.0
// One address space of traced code: what files it maps executable, where it is patched, and its slot areas. Threads and
// CLONE_VM children share it; fork copies it, as the kernel copies the patched pages; exec starts a new one.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "emu/base/fd.h"
#include "emu/ports/sites.h"
#include "loader/insn.h"

namespace bpfemu {

// A breakpoint in one address space. Several of a file's mappings may give several for one site.
struct Breakpoint {
  Sites::Id site;
  u8 original;  // the byte under the int3
  StepPlan plan;
  std::array<u8, kMaxInsnLength + 1> bytes;
  u64 slot = 0;  // out-of-line copy, 0 until it is first needed
};

// An executable file mapping, a line of /proc/PID/maps.
struct TextMapping {
  u64 start, end, offset;  // offset of `start` in the file
  FileId file;
  bool shared;
};

class AddressSpace {
 public:
  // Of the process `pid`, which may be running. A dead one gives an empty space whose writes fail with ESRCH.
  explicit AddressSpace(pid_t pid);
  // What a fork copies: breakpoints, slots and all.
  std::shared_ptr<AddressSpace> fork_copy(pid_t child) const;

  // Re-reads the executable mappings; breakpoints in what is no longer there are forgotten.
  void refresh();
  const std::vector<TextMapping>& mappings() const { return mappings_; }

  // Patches `address`. EIO: a shared mapping (the file would change), ENOTSUP: not an instruction that can be probed.
  Result<void> insert(u64 address, Sites::Id site);
  // Takes the site's breakpoints out again.
  void remove(Sites::Id site);
  Breakpoint* find(u64 address);
  // Was there a breakpoint here that a thread may just have run into while it was taken out?
  bool removed_lately(u64 address) const;

  // Shows `size` bytes read from `address` as they are without our breakpoints.
  void mask(u64 address, void* bytes, size_t size) const;

  // The slot for an out-of-line breakpoint, made at its first hit by running mmap in `task`. ENOMEM, ERANGE, ESRCH.
  Result<u64> slot_for(Task& task, u64 address, Breakpoint& breakpoint);
  // An address whose int3 means "a hijacked function returned". Same errors.
  Result<u64> return_trampoline(Task& task, u64 near);
  bool is_return_trampoline(u64 address) const;
  // The original address of a thread that stands in a slot, or 0. `executed`: the copy ran, only the jump back did not.
  u64 address_of_slot(u64 rip, bool* executed) const;

 private:
  static constexpr size_t kSlotSize = 32;
  struct Area {
    u64 start;
    size_t used;  // slots handed out; slot 0 is the return trampoline
  };

  Result<Area*> area_near(Task& task, u64 address);
  Result<void> poke(u64 address, const void* bytes, size_t size);
  u64 free_range_near(u64 address) const;

  pid_t pid_;
  UniqueFd memory_;
  std::vector<TextMapping> mappings_;
  std::map<u64, Breakpoint> breakpoints_;
  std::map<Sites::Id, u8> moved_;  // the byte under an int3 that is no longer where it was put
  std::vector<u64> removed_;
  std::vector<Area> areas_;
  std::map<u64, u64> slots_;  // slot -> patched address
};

}  // namespace bpfemu
