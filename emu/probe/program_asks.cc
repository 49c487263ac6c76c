// SPDX-License-Identifier: Apache-2.0
// What programs ask for that a traced process runs by itself (emu/runtime/inside/events.h). Whatever says so is a traced
// process: nothing of it is believed.
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// Values of arrays are written where they lie.
bool has_elements(const Map& map) { return map.type == BPF_MAP_TYPE_HASH || map.type == BPF_MAP_TYPE_PERCPU_HASH; }

// The map helper of the thread's program, on a map that one of these programs has; its keys and values fit into what the
// kernel allocates at once.
s64 change_map(Task& task, Run& run, Map& map, u32 helper, const std::array<u64, 4>& arguments) {
  const auto& [address, key_at, value_at, flags] = arguments;
  const MapOps& ops = *map_ops(map.type);
  std::vector<u8> key(map.key_size), value(map.value_size);
  if (!task.read(key_at, key.data(), key.size())) return -EFAULT;
  if (helper == BPF_FUNC_map_delete_elem) return ops.erase(&run, map, key.data());
  if (!task.read(value_at, value.data(), value.size())) return -EFAULT;
  return ops.update(&run, map, key.data(), value.data(), flags);
}

}  // namespace

s64 Probes::program_asks(Task& task, PtRegs& regs, u32 helper, u32 cpu, const std::array<u64, 4>& arguments) {
  if (cpu >= parts_.arena.cpus()) return -EINVAL;
  const int on = static_cast<int>(cpu);
  const bool asks_user = helper == BPF_FUNC_get_current_uid_gid;
  RunScope scope(runner_, &task, &regs, {.user = asks_user}, on);
  if (!scope) return -EBUSY;
  if (asks_user) return static_cast<s64>(u64{scope.run().task->gid} << 32 | scope.run().task->uid);
  Map* const map = apart_.map_at(arguments[0]);
  if (!map || !has_elements(*map) || (helper != BPF_FUNC_map_update_elem && helper != BPF_FUNC_map_delete_elem)) return -EINVAL;
  return change_map(task, scope.run(), *map, helper, arguments);
}

}  // namespace bpfemu
