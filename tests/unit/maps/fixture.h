// SPDX-License-Identifier: Apache-2.0
// An arena with maps in it, and a Run whose wakeups are counted.
#pragma once

#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/arena/vcpu.h"
#include "emu/bpf/map_object.h"
#include "emu/runtime/maps/map.h"

namespace bpfemu::test {

inline constexpr u32 kCpus = 4;

struct World {
  std::unique_ptr<Arena> arena = std::move(*Arena::create(kCpus));
  Env env{};
  RunTask task{};
  Run run{};
  std::vector<void*> woken;

  World() {
    env.self = this;
    env.arena_end = arena->end();
    env.wake = [](void* self, void* ring) { static_cast<World*>(self)->woken.push_back(ring); };
    env.clock = [](void*, int) { return u64{12345}; };
    task.tid = 7;
    task.tgid = 5;
    run.env = &env;
    run.task = &task;
    run.cpus = kCpus;
    run.cpu = acquire_vcpu(arena->vcpus(), kCpus, 0, task.tid);
  }
  // The same as if the program ran on another CPU.
  void on_cpu(u32 cpu) {
    release_vcpu(*run.cpu);
    run.cpu = acquire_vcpu(arena->vcpus(), kCpus, cpu, task.tid);
  }

  static MapAttr attr(u32 type, u32 key_size, u32 value_size, u32 max_entries, u32 flags = 0) {
    return {.type = type,
            .key_size = key_size,
            .value_size = value_size,
            .max_entries = max_entries,
            .flags = flags,
            .extra = 0,
            .cpus = kCpus,
            .privileged = true};
  }
  static s64 check(u32 type, u32 key_size, u32 value_size, u32 max_entries, u32 flags = 0, bool privileged = true) {
    MapAttr a = attr(type, key_size, value_size, max_entries, flags);
    a.privileged = privileged;
    return map_ops(type)->alloc_check(a);
  }
  std::shared_ptr<MapObject> create(const MapAttr& a) {
    REQUIRE(map_ops(a.type));
    REQUIRE(map_ops(a.type)->alloc_check(a) == 0);
    auto map = MapObject::create(*arena, a, *map_ops(a.type));
    REQUIRE(map);
    env.arena_end = arena->end();
    return *map;
  }
  std::shared_ptr<MapObject> create(u32 type, u32 key_size, u32 value_size, u32 max_entries, u32 flags = 0) {
    return create(attr(type, key_size, value_size, max_entries, flags));
  }
};

// How many random operations a test makes: more on demand.
inline u32 operations() {
  const char* wanted = std::getenv("BPFEMU_MAP_OPS");
  return wanted ? static_cast<u32>(std::strtoul(wanted, nullptr, 0)) : 5000;
}

}  // namespace bpfemu::test
