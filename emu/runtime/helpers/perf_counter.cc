// SPDX-License-Identifier: Apache-2.0
// What perf events have counted. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/object_array.h"

namespace bpfemu {

namespace {

// Count, time enabled and time running of the event of a map that `flags` names (kernel: get_map_perf_counter).
s64 read_from_map(Run* run, Map& map, u64 flags, u64* to) {
  if (flags & ~BPF_F_INDEX_MASK) return -EINVAL;
  const u64 index = flags == BPF_F_CURRENT_CPU ? run->cpu->id : flags;
  if (index >= map.max_entries) return -E2BIG;
  const u64 event = object_at(map, static_cast<u32>(index));
  if (!event) return -ENOENT;
  return run->env->read_perf_event ? run->env->read_perf_event(run->env->self, run, event, to) : -EINVAL;
}

// The answer of the helpers that fill in a bpf_perf_event_value.
s64 give(u64 to, s64 error, const u64* values) {
  auto* value = pointer_to<bpf_perf_event_value>(to);
  *value = error ? bpf_perf_event_value{} : bpf_perf_event_value{values[0], values[1], values[2]};
  return error;
}

}  // namespace

HELPER(help_perf_event_read) {
  u64 values[3];
  const s64 error = read_from_map(run, map_at(r1), r2, values);
  return error ? result(error) : values[0];
}

HELPER(help_perf_event_read_value) {
  if (low32(r4) != sizeof(bpf_perf_event_value)) {
    __builtin_memset(pointer_to(r3), 0, low32(r4));
    return result(-EINVAL);
  }
  u64 values[3];
  return result(give(r3, read_from_map(run, map_at(r1), r2, values), values));
}

HELPER(help_perf_prog_read_value) {
  if (low32(r3) != sizeof(bpf_perf_event_value)) {
    __builtin_memset(pointer_to(r2), 0, low32(r3));
    return result(-EINVAL);
  }
  u64 values[3];
  const s64 error = run->env->read_perf_event ? run->env->read_perf_event(run->env->self, run, 0, values) : -EINVAL;
  return result(give(r2, error, values));
}

}  // namespace bpfemu
