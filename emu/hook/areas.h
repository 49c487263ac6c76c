// SPDX-License-Identifier: Apache-2.0
// The mappings of a task, as /proc/PID/maps shows them.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "emu/hook/occasion.h"

namespace bpfemu {

inline constexpr u64 kPageBytes = 4096;
inline u64 whole_pages(u64 size) { return (size + kPageBytes - 1) & ~(kPageBytes - 1); }

// What a mapping at a given place must fit in (kernel: get_unmapped_area). Others are refused before anybody is asked.
inline bool is_possible_place(u64 at, u64 size) {
  constexpr u64 kTaskSize = 0x7ffffffff000;
  return at % kPageBytes == 0 && size <= kTaskSize && at <= kTaskSize - size;
}

struct Area {
  u64 start = 0, end = 0, offset = 0, inode = 0;
  u64 flags = 0;  // kernel: VM_*
  std::string path = {};
};

// Those that lie in [start, end), without a gap in front of them.
std::vector<Area> areas_in(pid_t tid, u64 start, u64 end);

// Is it no error?
inline bool is_address(s64 result) { return result >= 0 || result < -4095; }

// kernel: security_mmap_file; `file` gives its struct, 0: nobody's.
template <class File>
void pass_mmap_file(Occasion& on, File&& file, u64 prot, u64 flags) {
  on.ask(
      Hook::security_mmap_file,
      [&](Arguments& a) {
        a.lazily(0, file);
        a[1] = prot;
        a[2] = flags;
      },
      [&](Arguments& a) {
        a.lazily(0, file);
        a[1] = a[2] = prot;
        a[3] = flags;
      });
}

}  // namespace bpfemu
