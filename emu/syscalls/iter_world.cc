// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/iter_world.h"

#include "emu/syscalls/bpf_cgroup.h"
#include "emu/syscalls/ksyms.h"
#include "emu/syscalls/object_files.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

Result<std::shared_ptr<MapObject>> map_of(System& system, Task& task, u32 fd) {
  const auto file = TRY(system.files.find(task, static_cast<int>(fd)));
  const auto object = file ? file->object() : nullptr;
  if (!object || object->kind() != ObjectKind::kMap) return fail(EINVAL);
  return hold_map(TRY(system.maps.find(object->id())));
}

}  // namespace

std::unique_ptr<IterWorld> make_iter_world(System& system) {
  System& s = system;
  return std::unique_ptr<IterWorld>(new IterWorld{
      .arena = *s.arena,
      .host = s.host,
      .unmodelled = s.unmodelled,
      .runner = s.probes->runner(),
      .space = *s.object_space,
      .objects = *s.objects,
      .bpf = BpfObjects(*s.object_space),
      .sockets = s.probes->sockets(),
      .socket_maps = *s.socket_maps,
      .cgroups = s.cgroups,
      .kernel = s.kernel,
      .maps = s.maps,
      .programs = s.programs,
      .links = s.links,
      .map_of = [&s](Task& task, u32 fd) { return map_of(s, task, fd); },
      .cgroup_of = [&s](Task& task, u32 fd) { return cgroup_of_fd(s, task, fd); },
      .program_symbols =
          [&s] { return s.vfs_world->shows_programs() ? program_symbols(s.programs) : std::vector<ProgramSymbol>(); },
      .shows_addresses = [&s] { return s.vfs_world->shows_addresses(); }});
}

}  // namespace bpfemu
