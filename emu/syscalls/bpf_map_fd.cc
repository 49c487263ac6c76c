// SPDX-License-Identifier: Apache-2.0
// Map elements that are written as descriptors: program, perf event and cgroup arrays, maps of maps.

#include <cstring>

#include "emu/base/bytes.h"
#include "emu/syscalls/bpf_cgroup.h"
#include "emu/syscalls/map_elements.h"

namespace bpfemu {

namespace {

// What goes into the element: its arena address, and the object that the map keeps alive (none for a cgroup).
struct Element {
  u64 address = 0;
  std::shared_ptr<Object> object;
};

Result<Element> program_element(BpfCall& call, MapObject& map, u32 fd) {
  auto program = TRY(call.program(fd));
  if (program->type == BPF_PROG_TYPE_EXT || !owner_fits(map, *program)) return fail(EINVAL);
  // What replaces its function could call it without end (kernel: prog_fd_array_get_ptr).
  if (map.map().type == BPF_MAP_TYPE_PROG_ARRAY && program->is_extended()) return fail(EBUSY);
  TRY(check_runnable(call.system, *program));
  return Element{program->runtime_address(), program};
}

// Kernel: bpf_map_meta_equal, array_map_meta_equal.
bool same_shape(const MapObject& expected, const MapObject& map) {
  const Map &a = expected.map(), &b = map.map();
  if (a.type != b.type || a.key_size != b.key_size || a.value_size != b.value_size || a.flags != b.flags) return false;
  if (expected.timer_offset != map.timer_offset || expected.kptrs.size() != map.kptrs.size()) return false;
  bool count_matters = expected.ops().inner_max_entries && !(a.flags & BPF_F_INNER_MAP);
  return !count_matters || a.max_entries == b.max_entries;
}

Result<Element> map_element(BpfCall& call, MapObject& map, u32 fd) {
  auto inner = TRY(call.map(fd));
  if (!map.inner_template || !same_shape(*map.inner_template, *inner)) return fail(EINVAL);
  return Element{inner->runtime_address(), inner};
}

Result<Element> event_element(BpfCall& call, MapObject&, u32 fd) {
  auto file = call.file(fd, ObjectKind::kPerfEvent);
  if (!file) return fail(EBADF);  // whatever else it is (kernel: perf_event_get)
  auto event = (*file)->object();
  if (!event->runtime_address()) return fail(EOPNOTSUPP);
  return Element{event->runtime_address(), event};
}

// What the element holds of a cgroup is its id.
Result<Element> cgroup_element(BpfCall& call, MapObject&, u32 fd) {
  return Element{TRY(cgroup_of_fd(call.system, call.task, fd))->id(), nullptr};
}

struct FdElements {
  ElementKind kind;
  Result<Element> (*resolve)(BpfCall& call, MapObject& map, u32 fd);
  bool readable;  // user space reads an id back (kernel: map_fd_sys_lookup_elem)
};

constexpr FdElements kFdElements[] = {
    {ElementKind::kProgram, program_element, true},
    {ElementKind::kMap, map_element, true},
    {ElementKind::kPerfEvent, event_element, false},
    {ElementKind::kCgroup, cgroup_element, false},
};

const FdElements& rules_of(const MapObject& map) {
  for (auto& rules : kFdElements) {
    if (rules.kind == map.ops().elements) return rules;
  }
  __builtin_unreachable();  // callers ask only about maps of descriptors
}

bool hashed(const MapObject& map) { return map.map().type == BPF_MAP_TYPE_HASH_OF_MAPS; }

void forget(MapObject& map, const void* key, u64 old) {
  if (!hashed(map)) {
    map.elements.erase(load<u32>(key));
  } else if (auto it = map.hashed_elements.find(old); it != map.hashed_elements.end()) {
    map.hashed_elements.erase(it);
  }
}

void remember(MapObject& map, const void* key, Element element) {
  if (!element.object) return;
  if (hashed(map)) {
    map.hashed_elements.emplace(element.address, std::move(element.object));
  } else {
    map.elements[load<u32>(key)] = std::move(element.object);
  }
}

}  // namespace

Result<void> read_fd_element(MapObject& map, const void* key, std::vector<u8>& value) {
  if (!rules_of(map).readable) return fail(ENOTSUPP);
  u32 id = 0;
  if (hashed(map)) {
    void* slot = map.ops().lookup ? map.ops().lookup(nullptr, map.map(), key) : nullptr;
    if (!slot) return fail(ENOENT);
    id = static_cast<Map*>(slot)->id;
  } else {
    auto it = map.elements.find(load<u32>(key));
    if (it == map.elements.end()) return fail(ENOENT);
    id = it->second->id();
  }
  std::memcpy(value.data(), &id, sizeof id);
  return {};
}

Result<void> write_fd_element(BpfCall& call, File& file, MapObject& map, const void* key, u32 fd, u64 flags) {
  // Arrays check flags and index before they look at the descriptor, the hash of maps after.
  if (!hashed(map)) {
    if (flags != BPF_ANY) return fail(EINVAL);
    if (load<u32>(key) >= map.map().max_entries) return fail(E2BIG);
  }
  Element element = TRY(rules_of(map).resolve(call, map, fd));
  u64 old = 0;
  TRY(from_return(map.ops().exchange(map.map(), key, element.address, flags, &old)));
  if (old) forget(map, key, old);
  if (map.ops().elements == ElementKind::kPerfEvent) {
    static_cast<MapFile&>(file).put_event(load<u32>(key), *element.object);
  }
  remember(map, key, std::move(element));
  return {};
}

Result<void> erase_fd_element(MapObject& map, const void* key) {
  if (!hashed(map) && load<u32>(key) >= map.map().max_entries) return fail(E2BIG);
  u64 old = 0;
  TRY(from_return(map.ops().exchange(map.map(), key, 0, BPF_ANY, &old)));
  if (!old) return fail(ENOENT);
  forget(map, key, old);
  return {};
}

}  // namespace bpfemu
