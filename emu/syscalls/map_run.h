// SPDX-License-Identifier: Apache-2.0
// A Run for map operations that come from a system call rather than from a program: it holds a vCPU slot for its scope,
// so that per-CPU caches and locks behave as under a program.
#pragma once

#include <optional>

#include "emu/arena/vcpu.h"
#include "emu/runtime/maps/value.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

class MapRun {
 public:
  MapRun(System& system, Task& task, const Map& map) {
    Runner& runner = system.probes->runner();
    if (runner.listened) scope_.emplace(runner, &task, &task.regs(), ProgramNeeds::everything());
    if (scope_ && *scope_) {
      scope_->run().uninstrumented = true;
      return;
    }
    u32 tid = static_cast<u32>(task.tid());
    task_.tid = tid;
    task_.tgid = static_cast<u32>(task.tgid());
    run_.task = &task_;
    run_.cpus = system.arena->cpus();
    const u32 cpu = is_lru(map) ? system.host.cpu_of(task) : 0;  // of others nobody can tell
    run_.cpu = system.arena->take_vcpu(cpu, tid);
  }
  ~MapRun() {
    if (run_.cpu) release_vcpu(*run_.cpu);
  }
  MapRun(const MapRun&) = delete;
  MapRun& operator=(const MapRun&) = delete;
  operator Run*() { return scope_ && *scope_ ? &scope_->run() : &run_; }

 private:
  std::optional<RunScope> scope_;  // while somebody listens to what it passes
  RunTask task_{};
  Run run_{};
};

}  // namespace bpfemu
