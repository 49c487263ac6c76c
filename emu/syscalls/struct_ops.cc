// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/struct_ops.h"

#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "emu/base/bytes.h"
#include "emu/bpf/struct_ops.h"
#include "emu/runtime/maps/struct_ops.h"

namespace bpfemu {

namespace {

constexpr u32 kCongestionFlags = 1 | 2;  // kernel: TCP_CONG_MASK

StructOpsMap& arena_half(const MapObject& map) { return static_cast<StructOpsMap&>(map.map()); }

// A structure that is being put together: the tool's bytes, and the programs by the numbers of their members.
struct Candidate {
  const Btf& btf;
  u32 type_id;
  const btf_type& type;
  u8* data;
  std::map<u32, std::shared_ptr<Object>> programs = {};

  u32 offset_of(const char* member) const { return btf.offset_of(name(), member).value_or(0); }
  std::string_view name() const { return btf.type_name(type_id); }
  bool implements(const char* member) const {
    const auto members = btf.members(type);
    for (const auto& [number, program] : programs)
      if (std::string_view(btf.string(members[number].name_off)) == member) return true;
    return false;
  }
};

// One kernel structure that programs can implement (kernel: struct bpf_struct_ops).
struct Family {
  std::string_view structure;
  // Is it a member that the family takes by itself? 0: no.
  Result<u64> (*member)(System& system, Candidate& candidate, u32 offset);
  Result<void> (*add)(System& system, const std::shared_ptr<MapObject>& map, Candidate& candidate);
  void (*remove)(System& system, const MapObject& map);
};

// Kernel: bpf_tcp_ca_init_member.
Result<u64> congestion_member(System& system, Candidate& candidate, u32 offset) {
  if (offset == candidate.offset_of("flags")) {
    if (load<u32>(candidate.data + offset) & ~kCongestionFlags) return fail(EINVAL);
    return 1;
  }
  if (offset != candidate.offset_of("name")) return 0;
  char field[BPF_OBJ_NAME_LEN];
  std::memcpy(field, candidate.data + offset, sizeof field);
  const std::string name = TRY(object_name(field));
  if (name.empty()) return fail(EINVAL);
  if (system.congestion_controls.exists(name)) return fail(EEXIST);
  return 1;
}

// Kernel: tcp_register_congestion_control.
Result<void> add_congestion(System& system, const std::shared_ptr<MapObject>& map, Candidate& candidate) {
  const bool complete = candidate.implements("ssthresh") && candidate.implements("undo_cwnd") &&
                        (candidate.implements("cong_avoid") || candidate.implements("cong_control"));
  if (!complete) return fail(EINVAL);
  TRY(system.congestion_controls.add(
      {.name = reinterpret_cast<const char*>(candidate.data + candidate.offset_of("name")),
       .flags = load<u32>(candidate.data + candidate.offset_of("flags")),
       .holder = map,
       .references = &arena_half(*map).references}));
  SyscallSet calls;
  for (long number : {SYS_setsockopt, SYS_getsockopt, SYS_accept, SYS_accept4}) calls.set(static_cast<size_t>(number));
  system.host.want_everywhere(calls);
  return {};
}

constexpr Family kFamilies[] = {
    {"bpf_dummy_ops", [](System&, Candidate&, u32) -> Result<u64> { return fail(EOPNOTSUPP); },
     [](System&, const std::shared_ptr<MapObject>&, Candidate&) -> Result<void> { return fail(EOPNOTSUPP); },
     [](System&, const MapObject&) {}},
    {"tcp_congestion_ops", congestion_member, add_congestion,
     [](System& system, const MapObject& map) { system.congestion_controls.remove(map); }},
};

const Family* family_of(const Btf& btf, const MapObject& map) {
  const std::string_view value = btf.type_name(map.btf_vmlinux_value_type_id);
  const auto it = std::ranges::find_if(kFamilies, [&](const Family& each) { return value.ends_with(each.structure); });
  return it == std::end(kFamilies) ? nullptr : it;
}

bool is_zero(const u8* bytes, size_t size) {
  return std::all_of(bytes, bytes + size, [](u8 byte) { return byte == 0; });
}

// Kernel: check_zero_holes.
Result<void> check_zero_holes(const Btf& btf, const btf_type& type, const u8* data) {
  u32 end = 0;
  for (const btf_member& member : btf.members(type)) {
    const u32 offset = Btf::member_bit_offset(type, member) / 8;
    if (offset > end && !is_zero(data + end, offset - end)) return fail(EINVAL);
    end = offset + TRY(btf.size_of(member.type));
  }
  return is_zero(data + end, type.size - end) ? Result<void>() : fail(EINVAL);
}

// What a pointer leads to; null: the member is none (kernel: btf_type_resolve_ptr).
const btf_type* pointee(const Btf& btf, u32 id) {
  const btf_type* type = btf.skip_modifiers(id);
  return type && Btf::kind(*type) == BTF_KIND_PTR ? btf.skip_modifiers(type->type) : nullptr;
}

// The member's program, whose id takes the place of the tool's descriptor.
Result<void> put_program(BpfCall& call, Candidate& candidate, u32 number, u8* at) {
  const u32 fd = load<u32>(at);
  if (!fd) return {};
  auto program = TRY(call.program(fd));
  const bool fits = program->type == BPF_PROG_TYPE_STRUCT_OPS && program->attach_btf_id == candidate.type_id &&
                    program->expected_attach_type == number;
  if (!fits) return fail(EINVAL);
  store<u64>(at, program->id());
  candidate.programs[number] = std::move(program);
  return {};
}

// With what the call ends before the structure is whole, if it does.
Result<std::optional<u64>> put_members(BpfCall& call, const Family& family, Candidate& candidate) {
  const Btf& btf = candidate.btf;
  u64 taken = 0;
  u32 number = 0;
  for (const btf_member& member : btf.members(candidate.type)) {
    const u32 offset = Btf::member_bit_offset(candidate.type, member) / 8, at = number++;
    const btf_type* to = pointee(btf, member.type);
    if (to && Btf::kind(*to) == BTF_KIND_STRUCT && std::string_view(btf.string(to->name_off)) == "module") {
      if (load<u64>(candidate.data + offset)) return taken;
      continue;
    }
    taken = TRY(family.member(call.system, candidate, offset));
    if (taken) continue;
    if (to && Btf::kind(*to) == BTF_KIND_FUNC_PROTO) {
      TRY(put_program(call, candidate, at, candidate.data + offset));
    } else if (!is_zero(candidate.data + offset, TRY(btf.size_of(member.type)))) {
      return fail(EINVAL);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<u64> register_struct_ops(BpfCall& call, const std::shared_ptr<MapObject>& map, const void* key,
                                const void* value, u64 flags) {
  if (flags) return fail(EINVAL);
  if (load<u32>(key) != 0) return fail(E2BIG);
  const Btf& btf = *call.system.vmlinux;
  const btf_type& type = *btf.type(map->btf_vmlinux_value_type_id);
  const btf_member& data = btf.members(type).back();
  const u32 data_at = Btf::member_bit_offset(type, data) / 8;
  const auto* given = static_cast<const u8*>(value);
  u32 data_id = 0;
  const btf_type& structure = *btf.skip_modifiers(data.type, &data_id);
  TRY(check_zero_holes(btf, type, given));
  TRY(check_zero_holes(btf, structure, given + data_at));
  const auto head = load<StructOpsHead>(given);
  if (head.state || head.references) return fail(EINVAL);
  StructOpsMap& half = arena_half(*map);
  if (half.state != kStructOpsInit) return fail(EBUSY);

  const Family& family = *family_of(btf, *map);
  std::vector<u8> bytes(given, given + map->map().value_size);
  Candidate candidate{btf, data_id, structure, bytes.data() + data_at};
  if (const auto ended = TRY(put_members(call, family, candidate))) return *ended;
  std::memcpy(half.value(), bytes.data(), bytes.size());
  TRY(family.add(call.system, map, candidate));
  map->elements = std::move(candidate.programs);
  half.state = kStructOpsInUse;
  ++half.references;
  return 0;
}

void count_struct_ops(System& system) {
  system.congestion_controls.forget_closed([&](u64 socket) { return system.cgroups.descriptors_of_socket(socket) != 0; });
}

Result<void> unregister_struct_ops(System& system, MapObject& map) {
  StructOpsMap& half = arena_half(map);
  if (half.state == kStructOpsInit) return fail(ENOENT);
  if (half.state == kStructOpsToBeFree) return fail(EINPROGRESS);
  half.state = kStructOpsToBeFree;
  --half.references;
  family_of(*system.vmlinux, map)->remove(system, map);
  return {};
}

}  // namespace bpfemu
