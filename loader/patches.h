// SPDX-License-Identifier: Apache-2.0
// The patched system calls of one address space. A site that stops often is found by its address alone; its `mov`
// becomes a jump to a hop within reach, which goes on to the site's stub in the area that the seccomp filter knows.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "loader/call_site.h"
#include "loader/first_text.h"
#include "loader/inside.h"
#include "loader/short_sites.h"
#include "loader/space_memory.h"

namespace bpfemu {

class PathTable;

// kBusy: a breakpoint is there. All but kPatched leave the site as it is, and are no errors: its calls stop.
enum class PatchResult : u8 { kPatched, kOtherForm, kNotText, kNoRoom, kBusy };
// What processes decide by.
struct DecisionData {
  const PathTable& table;
  InsideView inside;
};

// A call that a thread has come to.
struct MadeCall {
  u64 resume;  // where it returns to
  u32 number;
};

class Patches {
 public:
  // One more stop of a call. True at every `hot`-th, while its site may still be patched.
  bool counts(const MadeCall& call, u32 hot);
  // Has no call stopped there yet?
  bool is_new(u64 resume) const { return !stops_.contains(resume) && !sites_.contains(resume - kSiteSize); }
  // Patches the site. `mappings`: files' only. The thread stands before its call and makes the calls that it takes.
  PatchResult place(Task& task, SpaceMemory& memory, const std::vector<MapsLine>& mappings, const MadeCall& call,
                    const DecisionData& data);
  // The same for sites of the text in which the thread's program is about to begin: it makes the calls that this takes by
  // itself, before its first instruction, and none here. Gives how many were patched.
  // Empty: the program begins as ever.
  std::optional<u64> begin(Task& task, SpaceMemory& memory, const FirstText& first, const FirstCalls& calls,
                           const PathTable& table);
  // The thread has not come to its first instruction. It does so now, and asks always.
  bool leave_start(SpaceMemory& memory, PtRegs& regs);
  // Did it run into the int3 of a start that failed?
  bool start_failed() { return std::exchange(start_failed_, false); }
  // A site of a forked child, which has it no longer once it executes a program: those that it would have patched.
  void want(const MadeCall& call) { wanted_.push_back(call); }
  std::vector<MadeCall> take_wanted() { return std::exchange(wanted_, {}); }
  // The site will never be patched.
  void refuse(u64 resume) { refused_.emplace(resume, true); }
  // Puts the program's own bytes back where a patch covers `address`, for good.
  void release(SpaceMemory& memory, u64 address);
  void release_all(SpaceMemory& memory);
  bool any() const { return !sites_.empty() || short_sites_.any(); }
  // Where a thread makes the call at `call` without deciding: there, if the call is where it was.
  u64 asks(u64 call) const { return short_sites_.asks(call).value_or(call); }

  // A thread that stands in code of ours is, as its program sees it, at the site's system call, or behind it.
  StubSide leave(SpaceMemory& memory, PtRegs& regs) const;
  const Inside& inside() const { return inside_; }
  // The process sees of the arena what `view` has. Nothing, if it has no image.
  void see(Task& task, SpaceMemory& memory, const InsideView& view) { inside_.see(task, memory, view); }
  // Was there an int3 of ours while the site was being patched?
  bool was_patching(SpaceMemory& memory, u64 address);
  void mask(u64 address, void* bytes, size_t size) const;
  // Memory was copied from a process that nobody knows any more: it decides nothing. Before breakpoints are placed
  // there.
  void disown(SpaceMemory& memory);
  // After a fork: what of the parent's patches the child's memory, which is some moments older, has not.
  void settle_fork(SpaceMemory& memory);

 private:
  struct Site {
    CallSite call;
    u64 stub, decides, done;
    u64 hop;
    bool placed;
    bool tells;  // its stub's call is told of
  };

  static bool is_limited(pid_t tgid);
  std::map<u64, Site>::const_iterator site_of(u64 rip) const;
  Result<void> map_area(Task& task, const PathTable& table);
  PatchResult place_short(Task& task, SpaceMemory& memory, const std::vector<MapsLine>& mappings, u64 call);
  PatchResult let_inside(Task& task, SpaceMemory& memory, u64 call, const DecisionData& data);
  bool has_area(Task& task, const PathTable& table);
  Result<u64> near_code(Task& task, SpaceMemory& memory, u64 near, std::span<const u8> code);
  void put_back(SpaceMemory& memory, u64 address, Site& site);

  std::unordered_map<u64, u32> stops_;     // by where the call returns to
  std::unordered_map<u64, bool> refused_;  // the same
  std::vector<MadeCall> wanted_;
  std::map<u64, Site> sites_;              // by address
  std::map<u64, u64> hops_;                // the site of each
  Inside inside_;
  ShortSites short_sites_;
  struct HopPage {
    u64 start;
    u32 used, room;  // hops
  };
  // The code that the program begins with, in the last page of a file's text.
  struct Start {
    u64 at = 0, size = 0, failed = 0;  // the last: rip, when a call of it has
    PtRegs regs = {};
  };
  std::vector<HopPage> hop_pages_;
  std::optional<Start> start_;
  u64 spare_ = 0, spare_size_ = 0;  // bytes of a text that hold code of ours; zero in the file
  bool mapped_ = false, unavailable_ = false, start_failed_ = false;
  u32 stubs_ = 0;
};

}  // namespace bpfemu
