// SPDX-License-Identifier: Apache-2.0
// Helpers inside of a traced process. What they cannot do there the supervisor does, at a stop.
#include <linux/bpf.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <cerrno>

#include "emu/base/bytes.h"
#include "emu/runtime/helpers/comm.h"
#include "emu/runtime/inside/array_change.h"
#include "emu/runtime/inside/element_change.h"
#include "emu/runtime/inside/inside_run.h"

namespace bpfemu {

namespace {

Map& map_at(u64 address) { return *reinterpret_cast<Map*>(address); }
const void* at(u64 address) { return reinterpret_cast<const void*>(address); }

u8* hash_value(Map& base, u64 key, u32 cpu) {
  HashMap& map = static_cast<HashMap&>(base);
  HashElement* const e = hash_find(map, at(key));
  if (!e) return nullptr;
  return map.value(e) + (map.type == BPF_MAP_TYPE_PERCPU_HASH ? cpu * value_stride(map) : 0);
}

bool is_array(const Map& map) { return map.type == BPF_MAP_TYPE_ARRAY || map.type == BPF_MAP_TYPE_PERCPU_ARRAY; }

u8* find_value(Map& map, u64 key, u32 cpu) { return is_array(map) ? array_value(map, at(key), cpu) : hash_value(map, key, cpu); }

u64 lookup(u64 map, u64 key, u64, u64, u64, Run* run) {
  return reinterpret_cast<u64>(find_value(map_at(map), key, InsideRun::of(run).cpu));
}

// What makes an element, or frees one, the supervisor does.
u64 update(u64 address, u64 key, u64 value, u64 flags, u64, Run* run) {
  Map& map = map_at(address);
  const InsideRun& inside = InsideRun::of(run);
  s64 result;
  if (is_array(map)) return static_cast<u64>(change_array(map, array_value(map, at(key), inside.cpu), at(value), flags));
  ElementChange change(static_cast<HashMap&>(map), at(key), inside.cpu);
  if (!change.update(at(value), flags, result))
    result = inside.request(BPF_FUNC_map_update_elem, {address, key, value, flags});
  return static_cast<u64>(result);
}

u64 erase(u64 address, u64 key, u64, u64, u64, Run* run) {
  Map& map = map_at(address);
  const InsideRun& inside = InsideRun::of(run);
  s64 result;
  if (is_array(map)) return static_cast<u64>(-EINVAL);
  ElementChange change(static_cast<HashMap&>(map), at(key), inside.cpu);
  if (!change.erase(result)) result = inside.request(BPF_FUNC_map_delete_elem, {address, key});
  return static_cast<u64>(result);
}

u64 clock(u32 id) {
  timespec now = {};
  (void)bpfemu_inside_ask(id, reinterpret_cast<u64>(&now), 0, SYS_clock_gettime);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}
u64 ktime_get_ns(u64, u64, u64, u64, u64, Run*) { return clock(CLOCK_MONOTONIC); }
u64 ktime_get_boot_ns(u64, u64, u64, u64, u64, Run*) { return clock(CLOCK_BOOTTIME); }

u64 get_smp_processor_id(u64, u64, u64, u64, u64, Run* run) { return InsideRun::of(run).cpu; }

u64 get_current_pid_tgid(u64, u64, u64, u64, u64, Run* run) {
  const InsideThread& ids = InsideRun::of(run).ids;
  return u64{ids.tgid} << 32 | ids.tid;
}

u64 get_current_uid_gid(u64, u64, u64, u64, u64, Run* run) {
  return static_cast<u64>(InsideRun::of(run).request(BPF_FUNC_get_current_uid_gid, {}));
}

u64 get_current_comm(u64 to, u64 size, u64, u64, u64, Run*) {
  char comm[16] = {};
  (void)bpfemu_inside_ask(PR_GET_NAME, reinterpret_cast<u64>(comm), 0, SYS_prctl);
  give_comm(reinterpret_cast<char*>(to), static_cast<u32>(size), comm);
  return 0;
}

struct Helper {
  u64 id;
  HelperFn function;
};
static_assert(sizeof(Helper) == sizeof(InsideHelper));

}  // namespace

extern "C" const Helper bpfemu_inside_helpers[] = {
    {BPF_FUNC_map_lookup_elem, lookup},
    {BPF_FUNC_map_update_elem, update},
    {BPF_FUNC_map_delete_elem, erase},
    {BPF_FUNC_ktime_get_ns, ktime_get_ns},
    {BPF_FUNC_get_smp_processor_id, get_smp_processor_id},
    {BPF_FUNC_get_current_pid_tgid, get_current_pid_tgid},
    {BPF_FUNC_get_current_uid_gid, get_current_uid_gid},
    {BPF_FUNC_get_current_comm, get_current_comm},
    {BPF_FUNC_ktime_get_boot_ns, ktime_get_boot_ns},
    {0, nullptr},
};

}  // namespace bpfemu
