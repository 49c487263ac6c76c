// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/redirect_targets.h"

#include <fmt/format.h>

#include "emu/base/bytes.h"
#include "emu/bpf/attach_types.h"
#include "emu/kernel/networks.h"
#include "emu/runtime/maps/redirect.h"
#include "emu/syscalls/map_elements.h"

namespace bpfemu {

namespace {

// Does the type itself take the element, so that what it names is looked at?
bool is_taken(const MapObject& object, const void* key, u32 where, u64 flags) {
  Map& map = object.map();
  if (!where || flags > BPF_EXIST) return false;
  if (map.type == BPF_MAP_TYPE_DEVMAP_HASH) return flags != BPF_NOEXIST || !object.ops().lookup(nullptr, map, key);
  const bool cpus = map.type == BPF_MAP_TYPE_CPUMAP;
  const u32 index = load<u32>(key);
  return index < map.max_entries && flags != BPF_NOEXIST && (!cpus || (where <= kMaxCpuQueue && index < map.cpus));
}

// Kernel: __cpu_map_load_bpf_program, __dev_map_alloc_node. Null: it is none for the map.
Result<std::shared_ptr<Program>> program_for(BpfCall& call, MapObject& map, int fd) {
  const u32 type = map.map().type == BPF_MAP_TYPE_CPUMAP ? BPF_XDP_CPUMAP : BPF_XDP_DEVMAP;
  const auto program = program_behind(call.system, call.task, fd);
  if (!program || (*program)->type != BPF_PROG_TYPE_XDP || (*program)->expected_attach_type != type) return nullptr;
  if (!owner_fits(map, **program)) return nullptr;
  TRY(check_runnable(call.system, **program));
  call.system.unmodelled.note(fmt::format("packets for {} programs", attach_types()[type].name));
  return *program;
}

}  // namespace

bool has_targets(const Map& map) { return map.type == BPF_MAP_TYPE_CPUMAP || has_trait(map, kInterfaces); }

Result<std::vector<u8>> target_value(BpfCall& call, MapObject& object, const void* key, const void* given, u64 flags,
                                     std::shared_ptr<Program>& program) {
  const Map& map = object.map();
  std::vector<u8> value(static_cast<const u8*>(given), static_cast<const u8*>(given) + map.value_size);
  const u32 where = load<u32>(given);
  const bool taken = is_taken(object, key, where, flags);
  if (taken && has_trait(map, kInterfaces)) {
    const UniqueFd netlink = route_socket(call.task);
    if (!device_facts(netlink.get(), where)) return fail(EINVAL);
  }
  if (map.value_size < sizeof(RedirectTarget)) return value;
  RedirectTarget target = load<RedirectTarget>(given);
  if (target.program <= 0) {
    target.program = 0;
  } else {
    if (taken) program = TRY(program_for(call, object, target.program));
    target.program = program ? static_cast<s32>(program->id()) : kNoTargetProgram;
  }
  store(value.data(), target);
  return value;
}

}  // namespace bpfemu
