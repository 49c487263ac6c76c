// SPDX-License-Identifier: Apache-2.0
// Starts the command under a seccomp filter and ptrace. The filter's listener reaches us through a descriptor table
// that child and supervisor share until exec.
#pragma once

#include <signal.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "emu/base/fd.h"
#include "emu/ports/root.h"
#include "loader/filter.h"
#include "loader/trace_os.h"

namespace bpfemu {

// What the supervisor changes of its own process and the command must not inherit. Taken before the first change.
struct Inherited {
  rlimit limits[RLIM_NLIMITS];
  sigset_t mask;
  struct sigaction actions[NSIG];
  static Inherited take();
  void restore() const;
};

struct SpawnPage;

// The child between clone and exec. Its probe calls stop like any traced call and must be answered kProbeAnswer.
class Spawn {
 public:
  static constexpr u64 kProbeMagic = 0x6270'6665'6d75'7072;
  static constexpr s64 kProbeAnswer = 0x6570;

  // A child that waits for go(). `probes`: calls that an outer filter may deny; they get SIGSYS stops if it does.
  static Result<Spawn> start(const std::vector<std::string>& argv, const Root& root, FilterSpec base,
                             const SyscallSet& probes, const Inherited& inherited);
  Spawn(Spawn&&) noexcept;
  Spawn& operator=(Spawn&&) = delete;
  ~Spawn();

  pid_t pid() const { return pid_; }
  // PTRACE_SEIZE with all options, then lets it run. EPERM: ptrace is not allowed here.
  Result<void> seize(TraceOs& os);

  // After its first exec, or its exit:
  enum class Failure : int { kNone, kRoot, kFilter, kExec };
  Failure failure() const;
  int error() const;
  UniqueFd take_listener();
  SyscallSet trapped() const;

 private:
  Spawn(pid_t pid, SpawnPage* page) : pid_(pid), page_(page) {}
  pid_t pid_;
  SpawnPage* page_;
};

}  // namespace bpfemu
