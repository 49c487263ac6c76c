// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/bpf_objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace bpfemu {

namespace {

constexpr size_t kMostTypes = 1 << 20;  // bytes of BTF that are laid out with a table of its types

// The struct that a link of a type begins (kernel: bpf_link_init's callers).
const char* structure_of(u32 link_type) {
  switch (link_type) {
    case BPF_LINK_TYPE_RAW_TRACEPOINT: return "bpf_raw_tp_link";
    case BPF_LINK_TYPE_TRACING: return "bpf_tracing_link";
    case BPF_LINK_TYPE_PERF_EVENT: return "bpf_perf_link";
    default: return "bpf_link";
  }
}

// kernel: htab_map_alloc. Where the kernel counts by CPU there is no number to show.
void show_hash(const KernelObject& object, Map& map) {
  constexpr u32 kElementHead = 48, kBatch = 32;  // sizeof(struct htab_elem), PERCPU_COUNTER_BATCH
  const bool per_cpu = map.type == BPF_MAP_TYPE_PERCPU_HASH || map.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
  const bool counted_per_cpu = map.max_entries / 2 > map.cpus * kBatch;
  object.set("n_buckets", static_cast<u32>(round_up_power_of_two(map.max_entries)));
  object.set("elem_size", static_cast<u32>(kElementHead + round_up(map.key_size, sizeof(u64)) +
                                           (per_cpu ? sizeof(u64) : round_up(map.value_size, sizeof(u64)))));
  object.set("use_percpu_counter", counted_per_cpu);
  const bool counts = (map.flags & BPF_F_NO_PREALLOC) && !counted_per_cpu;
  map.shown_count = counts ? reinterpret_cast<u32*>(object.address("count.counter")) : nullptr;
}

// kernel: array_map_alloc.
void show_array(const KernelObject& object, const Map& map) {
  object.set("elem_size", static_cast<u32>(round_up(map.value_size, sizeof(u64))));
  object.set("index_mask", static_cast<u32>(round_up_power_of_two(map.max_entries) - 1));
}

// What a map type adds to struct bpf_map, as far as it stays as it was made, or is counted by the map itself.
void show_map_type(const KernelStruct& type, Map& map) {
  if (!type.size() || type.size() > kShownMap) return;
  const KernelObject object(reinterpret_cast<u64>(map.shown), type);
  const std::string_view name = type.name();
  if (name == "bpf_htab") show_hash(object, map);
  if (name == "bpf_array") show_array(object, map);
  if (name == "bpf_stack_map") object.set("n_buckets", static_cast<u32>(round_up_power_of_two(map.max_entries)));
  if (name == "bpf_queue_stack") object.set("size", map.max_entries + 1);
  if (name == "lpm_trie") {
    constexpr u32 kPrefixLength = sizeof(u32);
    object.set("data_size", u64{map.key_size - kPrefixLength});
    object.set("max_prefixlen", u64{map.key_size - kPrefixLength} * 8);
  }
}

}  // namespace

KernelObject BpfObjects::find(const char* structure, const Object& object, bool* is_new) {
  return space_.object(space_.structure(structure), fmt::format("{}", object.id()), is_new);
}

KernelObject BpfObjects::map(const MapObject& map, s64 owners) {
  Map& head = map.map();
  const KernelStruct& base = space_.structure("bpf_map");
  if (!base.size()) return {};
  const KernelObject object(reinterpret_cast<u64>(head.shown), base);
  show_map_type(space_.structure(map_type(head.type)->kernel_struct), head);
  object.set("map_type", head.type);
  object.set("key_size", head.key_size);
  object.set("value_size", head.value_size);
  object.set("max_entries", head.max_entries);
  object.set("map_extra", head.extra);
  object.set("map_flags", head.flags);
  object.set("id", map.id());
  object.set("numa_node", s32{-1});
  object.set("spin_lock_off", map.spin_lock_offset ? static_cast<s32>(*map.spin_lock_offset) : -map.spin_lock_offset.error().value);
  object.set("timer_off", map.timer_offset ? static_cast<s32>(*map.timer_offset) : -map.timer_offset.error().value);
  object.set("btf_key_type_id", map.btf_key_type_id);
  object.set("btf_value_type_id", map.btf_value_type_id);
  object.set("btf_vmlinux_value_type_id", map.btf_vmlinux_value_type_id);
  object.set("btf", map.btf ? btf(*map.btf).address() : u64{0});
  object.set_text("name", map.name, BPF_OBJ_NAME_LEN);
  object.set("inner_map_meta", map.inner_template ? this->map(*map.inner_template).address() : u64{0});
  object.set("bypass_spec_v1", true);  // as for all who may make maps that programs look into
  object.set("frozen", map.frozen);
  object.set("writecnt.counter", s64{map.writers});
  // Descriptors and pins share one hold of the map; each counts as a use and as a reference.
  const s64 users = map.user_hold.use_count();
  object.set("usercnt.counter", users);
  if (owners) object.set("refcnt.counter", owners - (users ? 1 : 0) + users);
  return object;
}

KernelObject BpfObjects::program(const Program& program) {
  bool is_new = false;
  const KernelObject object = find("bpf_prog", program);
  const KernelObject aux = find("bpf_prog_aux", program, &is_new);
  object.set("aux", aux.address());
  object.set("type", program.type);
  object.set("expected_attach_type", program.expected_attach_type);
  object.set("len", static_cast<u32>(program.verified.shown.insns.size()));
  object.set("jited_len", program.code_size());
  if (const u64 tag = object.address("tag"))
    std::memcpy(reinterpret_cast<void*>(tag), program.tag.data(), BPF_TAG_SIZE);
  aux.set("prog", object.address());
  aux.set("id", program.id());
  aux.set("refcnt.counter", s64{1});
  aux.set("used_map_cnt", static_cast<u32>(program.verified.used_maps.size() + program.bound_maps.size()));
  aux.set("used_btf_cnt", static_cast<u32>(program.verified.used_btfs.size()));
  aux.set(
      "func_cnt",
      static_cast<u32>(program.verified.subprogram_starts.size() > 1 ? program.verified.subprogram_starts.size() : 0));
  aux.set("attach_btf_id", program.attach_btf_id);
  aux.set("load_time", program.load_time_ns);
  aux.set("verified_insns", program.verified.processed_insns);
  aux.set("sleepable", program.verified.sleepable);
  aux.set_text("name", program.name, BPF_OBJ_NAME_LEN);
  aux.set("btf", program.btf ? btf(*program.btf).address() : u64{0});
  aux.set("dst_prog", program.attach_program ? this->program(*program.attach_program).address() : u64{0});
  if (!is_new) return object;
  // What never changes, and takes memory of its own.
  const Btf* attached = program.attach_program ? program.attach_program->btf.get() : program.attach_btf.get();
  if (attached && program.attach_btf_id)
    aux.set("attach_func_name", space_.text(attached->type_name(program.attach_btf_id)));
  const auto& functions = program.verified.shown.func_info;
  const u32 bytes = static_cast<u32>(functions.size() * sizeof(bpf_func_info));
  const u64 table = bytes ? space_.bytes(fmt::format("func_info {}", program.id()), bytes) : 0;
  if (!table) return object;
  std::memcpy(reinterpret_cast<void*>(table), functions.data(), bytes);
  aux.set("func_info", table);
  aux.set("func_info_cnt", static_cast<u32>(functions.size()));
  return object;
}

KernelObject BpfObjects::link(const Link& link) {
  // struct bpf_link is the first member of them all.
  const KernelStruct& base = space_.structure("bpf_link");
  const KernelObject whole = find(structure_of(link.type()), link);
  const KernelObject object = whole ? KernelObject(whole.address(), base) : KernelObject();
  object.set("refcnt.counter", s64{1});
  object.set("id", link.id());
  object.set("type", link.type());
  object.set("prog", link.program() ? program(*link.program()).address() : u64{0});
  if (link.type() != BPF_LINK_TYPE_PERF_EVENT) return object;
  const std::string identity = fmt::format("of link {}", link.id());
  const KernelObject file = space_.object(space_.structure("file"), identity);
  const KernelObject event = space_.object(space_.structure("perf_event"), identity);
  event.set("bpf_cookie", link.cookie());
  event.set("prog", link.program() ? program(*link.program()).address() : u64{0});
  file.set("private_data", event.address());
  whole.set("perf_file", file.address());
  return object;
}

// kernel: btf_parse_hdr, btf_parse_type_sec. The types are found by a table of pointers into the data.
void BpfObjects::show_types(const KernelObject& object, const Btf& btf) {
  const auto raw = btf.raw();
  if (raw.size() < sizeof(btf_header) || raw.size() > kMostTypes) return;
  btf_header header;
  std::memcpy(&header, raw.data(), sizeof header);
  const u32 types = btf.type_count();
  const u64 table_at = round_up(raw.size(), sizeof(u64));
  const u64 at = space_.bytes(fmt::format("btf {}", btf.id()), static_cast<u32>(table_at + types * sizeof(u64)));
  if (!at) return;
  std::memcpy(reinterpret_cast<void*>(at), raw.data(), raw.size());
  const u64 data = at + header.hdr_len;
  const auto* first = reinterpret_cast<const u8*>(btf.type(1));
  for (u32 id = 1; id < types; ++id) {
    const auto offset = static_cast<u64>(reinterpret_cast<const u8*>(btf.type(id)) - first);
    store(reinterpret_cast<void*>(at + table_at + id * sizeof(u64)), data + header.type_off + offset);
  }
  object.set("data", at);
  object.set("nohdr_data", data);
  object.set("types", at + table_at);
  object.set("strings", data + header.str_off);
  object.set("hdr.hdr_len", header.hdr_len);
  object.set("hdr.type_off", header.type_off);
  object.set("hdr.type_len", header.type_len);
  object.set("hdr.str_off", header.str_off);
  object.set("hdr.str_len", header.str_len);
}

KernelObject BpfObjects::btf(const Btf& btf) {
  bool is_new = false;
  const KernelObject object = find("btf", btf, &is_new);
  if (!is_new) return object;
  object.set("id", btf.id());
  object.set("kernel_btf", btf.is_kernel());
  object.set("data_size", static_cast<u32>(btf.raw().size()));
  object.set("nr_types", btf.type_count());
  object.set("refcnt.refs.counter", s32{1});
  object.set_text("name", btf.name(), 56);  // MODULE_NAME_LEN
  if (!btf.is_kernel()) show_types(object, btf);
  return object;
}

KernelObject BpfObjects::object(const Object& object) {
  switch (object.kind()) {
    case ObjectKind::kMap: return map(static_cast<const MapObject&>(object));
    case ObjectKind::kProgram: return program(static_cast<const Program&>(object));
    case ObjectKind::kLink: return link(static_cast<const Link&>(object));
    case ObjectKind::kBtf: return btf(static_cast<const Btf&>(object));
    default: return {};
  }
}

}  // namespace bpfemu
