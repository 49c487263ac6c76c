// SPDX-License-Identifier: Apache-2.0
// The code in which a program begins: the dynamic loader's, or its own where there is none. Its last page has room that
// may belong to nobody.
#pragma once

#include <map>
#include <string>

#include "loader/space_memory.h"

namespace bpfemu {

// Calls by the offsets of their sites from the beginning of the text.
using FirstCalls = std::map<u64, u32>;

struct FirstText {
  u64 start = 0, end = 0;       // its pages
  u64 spare = 0, room = 0;      // address and bytes behind its last instruction
  FirstCalls* calls = nullptr;  // of FirstSites, null: there is no room

  bool contains(u64 address) const { return address - start < end - start; }
};

// Those of such texts at which some process has stopped, and that were the kernel's. A file is known by what it begins
// with, which tells its segments and, mostly, its build: whoever patches a site looks at its bytes.
class FirstSites {
 public:
  // Null: there is no room for more files. Lives as long as this.
  FirstCalls* of(const std::string& beginning);
  static void learn(const FirstText& text, u64 address, u32 number);

 private:
  std::map<std::string, FirstCalls> files_;
};

// Of a program that has not run yet, so its mappings are what the image at `image` says of itself. ENOENT: `entry` is
// in no such text. ENOSPC: nothing is free behind it. Errors of SpaceMemory.
Result<FirstText> find_first_text(SpaceMemory& memory, u64 image, u64 entry, FirstSites& known);

}  // namespace bpfemu
