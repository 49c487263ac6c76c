// SPDX-License-Identifier: Apache-2.0
// One definition of kprobe_events or uprobe_events: where a probe is and what it fetches.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emu/base/log.h"
#include "emu/kernel/fetch_args.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/user_file.h"

namespace bpfemu {

struct DynamicProbe {
  bool uprobe = false;
  bool is_return = false;
  std::string group = {}, event = {};  // as said or, without a name, as the kernel makes one
  std::string symbol = {};             // kprobe: as given, with its module; empty when given by address
  u64 offset = 0;            // in the function or the file
  u64 address = 0;           // kprobe: 0: of a module, and none is loaded
  u32 maxactive = 0;
  std::string path = {};               // uprobe: the file as it was given, and as it was found then
  std::shared_ptr<const UserFile> file = {};
  u64 ref_ctr_offset = 0;
  std::vector<FetchArg> args = {};
  u64 hits = 0;  // since it was defined

  // "do_sys_openat2+5", "/bin/sh:0x0000000000001000(0x20)": as listings show it.
  std::string place() const;
  // The line of kprobe_events or uprobe_events, with its newline.
  std::string listing() const;
};

// Text that is no definition of the sort asked for (kernel: -ECANCELED). Callers give EINVAL or try another sort.
inline constexpr int kOtherSort = ECANCELED;

// Why does `words` make no probe: EINVAL, ENOENT, EADDRNOTAVAIL, ERANGE, E2BIG; kOtherSort. It is not registered yet
// (kernel: __trace_kprobe_create, __trace_uprobe_create). Paths are looked up by the writer.
Result<DynamicProbe> parse_kprobe(const std::vector<std::string>& words, ErrorLog& log, const Symbols& symbols);
Result<DynamicProbe> parse_uprobe(const std::vector<std::string>& words, ErrorLog& log, Task* writer);

// A kernel address as %p shows it: hashed, so that nobody learns it.
std::string hashed_pointer(u64 address);

}  // namespace bpfemu
