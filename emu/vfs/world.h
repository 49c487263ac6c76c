// SPDX-License-Identifier: Apache-2.0
// What the synthetic files show: the parts of the model that they ask, put together by whoever builds the tree.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "emu/base/log.h"
#include "emu/btf/btf.h"
#include "emu/kernel/cgroups.h"
#include "emu/kernel/congestion_controls.h"
#include "emu/kernel/dynamic_events.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/profile.h"
#include "emu/kernel/sysctls.h"
#include "emu/kernel/event_switches.h"
#include "emu/kernel/trace_log.h"

namespace bpfemu {

// A task reads or writes a sysctl.
struct SysctlUse {
  std::string_view name;  // below /proc/sys
  bool write = false;
  std::string current;  // what it is
  std::string value;    // what is written
  u64 position = 0;     // in the file
};

struct VfsWorld {
  const Profile& profile;
  const KernelData& kernel;       // symbols, events, config of the profile
  DynamicEvents& dynamic_events;  // kprobe_events and uprobe_events
  TraceLog& trace_log;            // trace and trace_pipe
  TraceOptions& trace_options;
  EventSwitches& event_switches;  // events/*/enable and filter
  Unmodelled& unmodelled;
  Cgroups& cgroups;
  const CongestionControls& congestion_controls;
  u32 cpus_online = 1, cpus_possible = 1;
  bool privileged = true;              // the user that tools appear as is root
  std::shared_ptr<const Btf> vmlinux;  // null: no /sys/kernel/btf/vmlinux
  // Lines of loaded programs for /proc/kallsyms ("ffffffffc0001000 t bpf_prog_TAG_name\t[bpf]\n"); may be empty.
  std::function<std::string()> program_symbols;
  // What reading a pinned object shows; EIO: it has no text.
  std::function<Result<std::string>(Object& object, Task& reader)> show_pin = {};
  // Whom a thread means by a number; null: nobody.
  std::function<Task*(Task& asking, pid_t tid)> find_task = {};
  // The number that a thread has to another, 0: it is not to be seen (kernel: task_pid_vnr); null: its own.
  std::function<pid_t(Task& asking, pid_t tid)> number_for = {};
  // Programs of the task's cgroup are asked, which may change what is written and the position; null: there are none.
  std::function<Result<void>(Task& task, SysctlUse& use)> ask_for_sysctl = {};
  std::function<bool()> sysctls_asked_for = {};
  // The sysctl kernel.bpf_stats_enabled changed.
  std::function<void(bool)> set_bpf_stats;
  Sysctls sysctls = {};

  // Does the user see the addresses of symbols (kernel: kallsyms_show_value)?
  bool shows_addresses() const {
    const s64 restricted = sysctls["kernel/kptr_restrict"];
    const bool for_perf = restricted == 0 && sysctls["kernel/perf_event_paranoid"] <= 1;
    return for_perf || (restricted < 2 && privileged);
  }
  // And those of programs (kernel: bpf_jit_kallsyms_enabled)? With their addresses hidden, they are left out here.
  bool shows_programs() const {
    return sysctls["net/core/bpf_jit_kallsyms"] && !sysctls["net/core/bpf_jit_harden"] && shows_addresses();
  }
};

}  // namespace bpfemu
