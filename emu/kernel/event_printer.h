// SPDX-License-Identifier: Apache-2.0
// What a line of the trace says of an event, from its record.
#pragma once

#include <map>
#include <span>
#include <string>

#include "emu/base/log.h"
#include "emu/kernel/dynamic_events.h"
#include "emu/kernel/print_format.h"

namespace bpfemu {

class EventPrinter {
 public:
  EventPrinter(const KernelData& kernel, const DynamicEvents& dynamic, Unmodelled& unmodelled)
      : kernel_(kernel), dynamic_(dynamic), unmodelled_(unmodelled) {}

  // "sched_process_exit: comm=cat pid=7 prio=120\n"; of system calls "sys_close(fd: 3)\n" (kernel: trace_output.c).
  // `verbose`: with the arguments' types.
  std::string text(u32 id, std::span<const u8> record, bool verbose);

 private:
  std::string syscall_text(const TraceEvent& event, std::span<const u8> record, bool verbose) const;
  std::string probe_text(const DynamicEvent& event, std::span<const u8> record) const;
  std::string symbol_text(u64 address, bool offset) const;

  const KernelData& kernel_;
  const DynamicEvents& dynamic_;
  Unmodelled& unmodelled_;
  std::map<u32, PrintFormat> formats_;
};

}  // namespace bpfemu
