// SPDX-License-Identifier: Apache-2.0
// Code patching as the kernel model sees it: "fire at this offset of this file, in every supervised process that maps
// it executable now or later". The loader owns breakpoints per address space; the model owns who listens.
#pragma once

#include "emu/ports/task.h"

namespace bpfemu {

class Sites {
 public:
  virtual ~Sites() = default;

  using Id = u64;
  // Arms `offset` of `file` (opened by the supervisor from `path`); counted, so two probes share one breakpoint.
  // EINVAL when the offset lies outside the file (kernel: uprobe_register), EIO when it cannot be patched.
  virtual Result<Id> arm(const std::string& path, FileId file, u64 offset) = 0;
  virtual void disarm(Id id) = 0;
  // At a hit: makes the function that is being entered return through us, so that Probes::function_returned is called
  // once with `cookie` when it does. Nesting and recursion are the loader's business.
  virtual Result<void> on_return(Task& task, Id id, u64 cookie) = 0;
};

}  // namespace bpfemu
