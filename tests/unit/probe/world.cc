// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/probe/world.h"

#include <unistd.h>

#include <new>

namespace bpfemu {

namespace {

std::map<const ProgramText*, std::function<u64(Run*, void*)>> bodies;

u64 run_body(Run* run, void* context) {
  return bodies.at(run->program)(run, context);
}

}  // namespace

// The real ones assemble; here the "code" is one function that finds the body.
Result<void> Program::install(Arena& arena) {
  arena_ = &arena;
  text_extent_ = TRY(arena.allocate(sizeof(ProgramText)));
  text_ = new (reinterpret_cast<void*>(text_extent_.address)) ProgramText{};
  text_->type = type;
  text_->entry = run_body;
  return {};
}

std::shared_ptr<const ApartCode> Program::code_apart() const { return nullptr; }

Program::~Program() {
  if (!text_) return;
  bodies.erase(text_);
  arena_->release(text_extent_);
}

namespace {

Arena& test_arena() {
  static std::unique_ptr<Arena> arena = std::move(*Arena::create(4));
  return *arena;
}

const KernelData& test_kernel() {
  static Profile profile = default_profile();
  static KernelData data(profile);
  return data;
}

}  // namespace

std::shared_ptr<Program> make_program(u32 type, std::function<u64(Run*, void*)> body) {
  auto program = std::make_shared<Program>();
  program->type = type;
  REQUIRE(program->install(test_arena()));
  bodies[&program->text()] = std::move(body);
  return program;
}

World::World()
    : arena(test_arena()),
      kernel(test_kernel()),
      dynamic_events(kernel, unmodelled, 2),
      objects(arena, kernel.btf().value()),
      files(objects, mounts, {}),
      probes({arena, host, sites, unmodelled, kernel, dynamic_events, objects, mounts, files}, outlets()),
      task(getpid(), getpid()) {
  host.tasks[getpid()] = &task;
  TaskFacts facts{.tid = getpid(), .tgid = getpid(), .uid = 7, .gid = 8, .cpu = 2};
  memcpy(facts.comm, "tester", 7);
  host.task_facts[getpid()] = facts;
}

Outlets World::outlets() {
  Outlets outlets;
  outlets.wake = [this](const void* ring) { woken.push_back(ring); };
  outlets.trace = &trace_log;
  outlets.task_struct = [](const TaskFacts& facts) { return 0x1000u + static_cast<u64>(facts.tid); };
  outlets.cgroup_of = [this](pid_t) { return cgroup; };
  return outlets;
}

u32 World::event_id(std::string_view system, std::string_view name) {
  auto* event = kernel.events().find(system, name);
  REQUIRE(event);
  return event->id;
}

}  // namespace bpfemu
