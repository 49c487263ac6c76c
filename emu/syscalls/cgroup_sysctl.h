// SPDX-License-Identifier: Apache-2.0
// Sysctls of the model, as programs of the user's cgroup see, refuse and change their use.
#pragma once

#include "emu/syscalls/node_file.h"

namespace bpfemu {

// One that is open while there are such programs: every read is asked about.
class SysctlReads : public NodeFile {
 public:
  SysctlReads(Vfs& vfs, Found found, bool writes) : NodeFile(vfs, std::move(found), false, writes) {}
  bool is_native() const override { return false; }
  std::vector<TraceWhen> stops() const override;
  u64 position() const override { return position_; }
  bool is_read() const override { return true; }
  Result<u64> read(Task& task, u64 address, u64 size) override;

 private:
  u64 position_ = 0;
};

// Kernel: __cgroup_bpf_run_filter_sysctl.
Result<void> ask_for_sysctl(System& system, Task& task, SysctlUse& use);

}  // namespace bpfemu
