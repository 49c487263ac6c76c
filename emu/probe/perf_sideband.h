// SPDX-License-Identifier: Apache-2.0
// The records of perf events that are no samples: who is who and what is mapped where, by which `perf report` finds
// names (kernel: perf_event_comm, perf_event_mmap, perf_event_fork, perf_event_exit_task).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "emu/abi/pt_regs.h"
#include "emu/ports/host.h"
#include "emu/ports/task.h"

struct perf_event_attr;

namespace bpfemu {

class Probes;

class PerfSideband {
 public:
  explicit PerfSideband(Probes& probes) : probes_(probes) {}

  struct Mapping;  // a line of /proc/PID/maps

  // Does an event of these attributes get any?
  static bool wanted(const perf_event_attr& attr);
  // The calls that active events want to hear of, once they have run.
  const SyscallSet& calls() const { return calls_; }
  // Those of them that are told of by what they change.
  SyscallSet changing_calls() const;
  // Events came, went, or were turned on or off.
  void events_changed();

  // PERF_RECORD_KSYMBOL and PERF_RECORD_BPF_EVENT are not modelled: aloud when somebody would get them.
  void program_loaded() const;

  // What becomes of tasks and their memory. At `forked` the events know the child, at `exiting` still the task.
  void forked(Task& parent, pid_t child);
  void executed(Task& task);
  void exiting(Task& task);
  void call_begins(Task& task, const PtRegs& regs, long number);
  void call_done(Task& task, const PtRegs& regs, long number, s64 result);

 private:
  struct Content {
    u32 type;
    u16 misc;
    std::string body;
  };
  // mprotect changes one mapping after the other, and each becomes one with its equals in front of it.
  struct Change {
    u64 at, end;  // where the mapping ends when its turn is over
  };
  struct Before {
    u64 heap_end = 0;
    std::vector<Change> changes = {};
  };
  using Match = std::function<bool(const perf_event_attr&)>;
  // `make` gives the record in the shape that an event wants; it may need the time.
  using Make = std::function<Content(const perf_event_attr&, u64 time)>;
  void tell(Task& task, const Match& match, const Make& make);
  void tell_comm(Task& task, bool exec);
  // The mappings that overlap [from, to).
  void tell_mappings(Task& task, u64 from, u64 to);
  void tell_mapping(Task& task, const Mapping& mapping);
  void tell_protected(Task& task, u64 protection, const std::vector<Change>& changes);

  Probes& probes_;
  SyscallSet calls_;
  std::map<pid_t, Before> before_;  // of calls that change mappings
  bool any_ = false, programs_ = false, mappings_ = false;
};

}  // namespace bpfemu
