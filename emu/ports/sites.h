// SPDX-License-Identifier: Apache-2.0
// Code patching as the kernel model sees it: "fire at this offset of this file, in every supervised process that maps
// it executable now or later". The loader owns breakpoints per address space; the model owns who listens.
#pragma once

#include <vector>

#include "emu/ports/task.h"

namespace bpfemu {

inline constexpr size_t kSiteCode = 16;   // kernel: MAX_UINSN_BYTES

// Where a uprobe is: an offset in a file, whatever its name is by now.
struct UserPlace {
  FileId file;  // as /proc/PID/maps shows it
  u64 offset = 0;
  // Of the short in the file's writable data that says how many breakpoints there are (a USDT semaphore); 0: none.
  u64 ref_ctr_offset = 0;
  std::vector<u8> code{};  // what stands at `offset` in the file, up to kSiteCode bytes; empty: it cannot be read
};

class Sites {
 public:
  virtual ~Sites() = default;

  using Id = u64;
  // Counted, so two probes share one site; nothing is patched yet. EINVAL: the place is known with another reference
  // counter (kernel: alloc_uprobe).
  virtual Result<Id> add(const UserPlace& place) = 0;
  // The last one takes the site out everywhere.
  virtual void drop(Id id) = 0;
  // Patches the site in the address spaces where it is wanted (EventSink::site_wanted), and from now on in those that
  // map the file. ENOTSUPP: one maps it, and the instruction cannot be probed (kernel: uprobe_apply).
  virtual Result<void> apply(Id id) = 0;
  // Takes it out where it is no longer wanted.
  virtual void withdraw(Id id) = 0;
  // At a hit: makes the function that is being entered return through us, so that Probes::function_returned is called
  // once with `cookie` when it does. Nesting and recursion are the loader's business.
  virtual Result<void> on_return(Task& task, Id id, u64 cookie) = 0;
};

}  // namespace bpfemu
