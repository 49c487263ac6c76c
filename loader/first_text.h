// SPDX-License-Identifier: Apache-2.0
// The code in which a program begins: the dynamic loader's, or its own where there is none. Its last page has room that
// belongs to nobody.
#pragma once

#include <map>

#include "loader/space_memory.h"

namespace bpfemu {

struct FirstText {
  MapsLine text = {};
  u64 spare = 0, room = 0;  // address and bytes behind its last instruction, all of them zero

  bool contains(u64 address) const { return address - text.start < text.end - text.start; }
  u64 offset_of(u64 address) const { return address - text.start + text.offset; }
  u64 address_of(u64 offset) const { return offset - text.offset + text.start; }
};

// ENOENT: `entry` is in no private text of a file. ENOSPC: nothing is known to be free there. Errors of SpaceMemory.
Result<FirstText> find_first_text(SpaceMemory& memory, const std::vector<MapsLine>& lines, u64 entry);

// Calls by the offsets of their sites in a file.
using FirstCalls = std::map<u64, u32>;
// Those of such texts at which some process has stopped, and that were the kernel's.
class FirstSites {
 public:
  void learn(FileId file, u64 offset, u32 number);
  FirstCalls of(FileId file) const;

 private:
  std::map<FileId, FirstCalls> files_;
};

}  // namespace bpfemu
