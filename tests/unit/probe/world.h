// SPDX-License-Identifier: Apache-2.0
// A model of the probes around fakes: programs are functions of the test, the kernel's data is the profile's.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>

#include "emu/bpf/cgroup.h"
#include "emu/kernel/dynamic_events.h"
#include "emu/kernel/kernel_data.h"
#include "emu/probe/probes.h"
#include "tests/fakes/ports.h"

namespace bpfemu {

// A program whose body is `body`; R0 is what it returns.
std::shared_ptr<Program> make_program(u32 type, std::function<u64(Run* run, void* context)> body);

struct World {
  World();
  Arena& arena;
  fakes::FakeHost host;
  fakes::FakeSites sites;
  Unmodelled unmodelled;
  const KernelData& kernel;
  DynamicEvents dynamic_events;
  TraceLog trace_log;
  std::vector<const void*> woken;
  std::shared_ptr<Cgroup> cgroup;  // that everybody is in; null: the root
  ObjectSpace objects;
  Mounts mounts;
  FileObjects files;
  Probes probes;
  fakes::FakeTask task;

  u32 event_id(std::string_view system, std::string_view name);

 private:
  Outlets outlets();
};

}  // namespace bpfemu
