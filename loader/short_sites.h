// SPDX-License-Identifier: Apache-2.0
// Sites where nothing in front of the system call can be patched, as where all calls of a Go program are made:
//   0f 05  syscall   becomes a short jump to
//   cc ... int3      filling between functions, never executed, which becomes a jump on
// Calls are made elsewhere then: in the stub those that the process has decided, at `asks` all others.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "emu/abi/pt_regs.h"
#include "loader/inside.h"
#include "loader/short_stub.h"
#include "loader/space_memory.h"

namespace bpfemu {

class ShortSites {
 public:
  // A piece of code of ours that is near an address: where it is put.
  using NearCode = std::function<Result<u64>(u64 near, std::span<const u8> code)>;

  // Patches the site whose call is at `call`, in text [from, to); the area of stubs is mapped. ENOENT: another form, or
  // no filling within reach. ENOSPC.
  Result<void> place(SpaceMemory& memory, u64 call, u64 from, u64 to, const NearCode& near_code);
  // The process has the image now, and calls of the site may go there. ENOSPC.
  Result<void> let_inside(SpaceMemory& memory, u64 call);
  bool goes_inside(u64 call) const { return sites_.at(call).stubs.size() > 1; }
  bool contains(u64 call) const { return sites_.contains(call); }
  bool any() const { return !sites_.empty(); }
  // As of Patches.
  std::optional<StubSide> leave(PtRegs& regs) const;
  // Where a thread makes the call of a site without deciding. Empty: it is none of these.
  std::optional<u64> asks(u64 call) const;
  void release(SpaceMemory& memory, u64 address);
  void release_all(SpaceMemory& memory);
  void mask(u64 address, std::span<u8> bytes) const;
  // True: there were some.
  bool disown(SpaceMemory& memory);
  void settle_fork(SpaceMemory& memory);

 private:
  struct PlacedStub {
    u64 at;
    ShortStub stub;
  };
  struct Site {
    u64 filling, hop, asks;
    std::vector<PlacedStub> stubs;  // the last is used, threads may still be in the others
    bool placed;
  };
  // Bytes that stand where the program has others.
  struct Piece {
    u64 at;
    std::array<u8, 5> own, ours;
    u64 size;
  };

  Result<u64> write_stub(SpaceMemory& memory, u64 call, Site& site, bool image);
  static const PlacedStub* stub_of(const Site& site, u64 rip);
  static std::array<Piece, 2> pieces(u64 call, const Site& site);
  static bool stands(SpaceMemory& memory, u64 call, const Site& site);
  static void put_back(SpaceMemory& memory, u64 call, Site& site);

  std::map<u64, Site> sites_;  // by the address of the call
  u64 stubs_ = 0;
};

}  // namespace bpfemu
