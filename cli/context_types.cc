// SPDX-License-Identifier: Apache-2.0
#include "cli/context_types.h"

#include "emu/verifier/prog_types.h"

namespace bpfemu {

u32 type_of_context(std::string_view context) {
  if (context.empty()) return BPF_PROG_TYPE_UNSPEC;
  // Of the many that see packets, the one that may do most with them.
  if (context == "__sk_buff") return BPF_PROG_TYPE_SCHED_CLS;
  if (context == "pt_regs") return BPF_PROG_TYPE_KPROBE;
  for (const ProgTypeEntry& entry : prog_type_entries()) {
    if (context == entry.context) return entry.id;
  }
  return BPF_PROG_TYPE_UNSPEC;
}

const char* name_of_type(u32 type) {
  const ProgTypeEntry* entry = prog_type_entry(type);
  return entry ? entry->name : "unknown";
}

}  // namespace bpfemu
