// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/cgroup_sysctl.h"

#include <algorithm>

#include "emu/syscalls/call.h"
#include "emu/syscalls/cgroup_run.h"

namespace bpfemu {

std::vector<TraceWhen> SysctlReads::stops() const {
  std::vector<TraceWhen> when{TraceWhen::kHolders, TraceWhen::kOpeners, TraceWhen::kObjects, TraceWhen::kStreams};
  if (takes_writes()) when.push_back(TraceWhen::kWriters);
  return when;
}

Result<u64> SysctlReads::read(Task& task, u64 address, u64 size) {
  const std::string text = TRY(found_.file()->read_at(task, position_));
  const u64 copied = std::min<u64>(size, text.size());
  if (copied) TRY(task.write(address, text.data(), copied));
  position_ += copied;
  return copied;
}

Result<void> ask_for_sysctl(System& system, Task& task, SysctlUse& use) {
  if (!system.cgroups.used_types[BPF_CGROUP_SYSCTL]) return {};
  CgroupRun run(system, task, *system.cgroups.of(task.tid()), BPF_CGROUP_SYSCTL);
  auto* const context = run.any() ? run.place<RunSysctl>() : nullptr;
  if (!context) return {};
  context->seen.write = use.write;
  context->seen.file_pos = static_cast<u32>(use.position);
  use.name.copy(context->name, sizeof context->name - 1);
  context->current_size = static_cast<u32>(use.current.copy(context->current, sizeof context->current));
  context->value_size = static_cast<u32>(use.value.copy(context->value, sizeof context->value));
  if (const s64 refused = run.run(nullptr, &context->seen)) return fail(static_cast<int>(-refused));
  use.position = context->seen.file_pos;
  if (context->replaced) use.value.assign(context->value, context->value_size);
  return {};
}

}  // namespace bpfemu
