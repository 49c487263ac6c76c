// SPDX-License-Identifier: Apache-2.0
// One address space of traced code: what files it maps, where it is patched, and its slots. Threads and CLONE_VM
// children share it; fork copies it, as the kernel copies the patched pages; exec starts a new one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "emu/ports/sites.h"
#include "loader/first_text.h"
#include "loader/patches.h"
#include "loader/insn.h"
#include "loader/slots.h"
#include "loader/space_memory.h"

namespace bpfemu {

using InsnBytes = std::array<u8, kMaxInsnLength + 1>;

// A place that is patched in every address space that maps its file.
struct Site {
  UserPlace place;
  u32 users = 0;
};

// A breakpoint in one address space. Several of a file's mappings may give several for one site.
struct Breakpoint {
  Sites::Id site;
  StepPlan plan;
  InsnBytes bytes;          // the instruction; its first byte is under the int3
  u64 slot = 0, touch = 0;  // slots, 0 until they are first needed
  u8 original() const { return bytes[0]; }
};

class AddressSpace {
 public:
  AddressSpace(MemoryFiles& files, pid_t tid) : files_(files), memory_(files, tid) {}
  // What a fork copies: breakpoints, slots and all. The memory was copied a moment ago; what has changed here since is
  // made up for.
  std::shared_ptr<AddressSpace> fork_copy(pid_t child) const;

  SpaceMemory& memory() { return memory_; }
  const SpaceMemory& memory() const { return memory_; }

  // Re-reads the mappings; breakpoints in what is no longer there are forgotten. Errors as of SpaceMemory::maps().
  Result<void> refresh();
  // Where the site is mapped as code that can be patched (kernel: valid_vma).
  std::vector<u64> places_of(const UserPlace& place) const;

  // Patches `address`, which is one of them; code that the program has written over it is left alone. ENOTSUP: an
  // instruction that cannot be stepped; errors of SpaceMemory.
  Result<void> insert(u64 address, Sites::Id id, const Site& site);
  // Takes the site's breakpoints out again.
  void remove(Sites::Id id, const Site& site);
  bool has(Sites::Id id) const;
  Breakpoint* find(u64 address);
  // Was there a breakpoint here that a thread may just have run into while it was taken out?
  bool removed_lately(u64 address);
  // Its reference counter is counted once the file's data is mapped (kernel: delayed_uprobe_list).
  bool awaits_data() const { return !awaiting_.empty(); }
  void count_awaited(const std::map<Sites::Id, Site>& sites);

  // Shows `size` bytes read from `address` as they are without our breakpoints.
  void mask(u64 address, void* bytes, size_t size) const;

  // The slot for an out-of-line breakpoint, or the one in which a call touches its stack: made when first needed.
  Result<u64> slot_for(Task& task, u64 address, Breakpoint& breakpoint, bool touch, const Slots::Inside& inside);
  Slots& slots() { return slots_; }

  // System calls that the process decides by itself. A breakpoint on their bytes comes before.
  Patches& patches() { return patches_; }
  const Patches& patches() const { return patches_; }
  PatchResult patch(Task& task, const MadeCall& call, const DecisionData& data);
  // Its program is about to begin at `entry`, in the ELF image at `image`. True: it may decide calls from then on.
  bool find_first(u64 image, u64 entry, FirstSites& known);
  std::optional<u64> begin(Task& task, const PathTable& table);
  // The call was the kernel's.
  void learn(const MadeCall& call);
  // Whose memory was copied. What the copy learns of sites is of use there, when the copy is gone with an exec.
  void set_origin(const std::shared_ptr<AddressSpace>& origin) { origin_ = origin; }
  // The call was the kernel's; see Patches::counts().
  bool counts(const MadeCall& call, u32 hot);

 private:
  // Is there a breakpoint on the bytes of the call site?
  bool is_probed(u64 site) const;
  void forget(std::map<u64, Breakpoint>::iterator it);
  void settle_fork(const AddressSpace& parent);
  // Adds to the reference counter where it is mapped; false: nowhere (kernel: update_ref_ctr).
  bool count(const UserPlace& place, int step);

  MemoryFiles& files_;
  SpaceMemory memory_;
  std::vector<MapsLine> mappings_;  // of files, private and either code or data
  std::map<u64, Breakpoint> breakpoints_;
  std::map<u64, u8> removed_;  // lately; the byte that stands there again
  std::set<Sites::Id> awaiting_;
  Slots slots_;
  Patches patches_;
  std::optional<FirstText> first_;
  std::weak_ptr<AddressSpace> origin_;
};

}  // namespace bpfemu
