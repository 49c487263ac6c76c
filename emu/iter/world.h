// SPDX-License-Identifier: Apache-2.0
// What iterators ask of the model, put together by whoever owns it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "emu/base/log.h"
#include "emu/bpf/link.h"
#include "emu/bpf/map_object.h"
#include "emu/bpf/program.h"
#include "emu/kernel/bpf_objects.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/objects.h"
#include "emu/probe/runner.h"

namespace bpfemu {

class SocketMaps;
class Cgroup;
class Cgroups;
class Sockets;

// A symbol of a loaded program's code.
struct ProgramSymbol {
  u64 address;
  std::string name;
};

struct IterWorld {
  Arena& arena;
  Host& host;
  Unmodelled& unmodelled;
  Runner& runner;
  ObjectSpace& space;
  KernelObjects& objects;
  BpfObjects bpf;
  Sockets& sockets;
  SocketMaps& socket_maps;
  Cgroups& cgroups;
  const KernelData& kernel;
  IdSpace<MapObject>& maps;
  IdSpace<Program>& programs;
  IdSpace<Link>& links;
  // A map by a descriptor of the task's, as user space holds it: EBADF, EINVAL.
  std::function<Result<std::shared_ptr<MapObject>>(Task& task, u32 fd)> map_of;
  // A cgroup in the same way: EBADF, ENOENT.
  std::function<Result<std::shared_ptr<Cgroup>>(Task& task, u32 fd)> cgroup_of;
  std::function<std::vector<ProgramSymbol>()> program_symbols;
  // May the task see the addresses of symbols (kernel: kallsyms_show_value)?
  std::function<bool()> shows_addresses;
  u64 sessions = 0;  // that were opened
};

}  // namespace bpfemu
