// SPDX-License-Identifier: Apache-2.0
// The calls of the tree that programs of cgroups look at. Until one is attached, none of them stops for it.
#pragma once

#include <optional>
#include <string>

#include "emu/syscalls/call.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// What passes programs of the attach type stops from now on.
void want_cgroup_calls(System& system, u32 attach_type);
// A process is in a cgroup below the root: which one its sockets belong to is noted from now on.
void watch_sockets(System& system, Task& task);

// Parts of calls that have other handlers as well; none: programs of cgroups leave the call as it is.
std::optional<Reply> make_socket_in_cgroup(System& system, Call& call);
std::optional<Reply> set_option_in_cgroup(System& system, Call& call);
std::optional<Reply> get_option_in_cgroup(System& system, Call& call);
std::optional<Reply> send_in_cgroup(System& system, Call& call);
// A place that a call names.
struct PlaceName {
  int folder;  // a descriptor, or AT_FDCWD
  std::string path;
  bool follow = true;
};
// `mask`: R_OK and W_OK, as the call wants to use it.
std::optional<Reply> use_device_in_cgroup(System& system, Call& call, const PlaceName& name, int mask);
std::optional<Reply> make_device_in_cgroup(System& system, Call& call, const PlaceName& name, u32 mode, u64 device);
// The descriptor is about to be closed (kernel: inet_release).
void close_in_cgroup(System& system, Task& task, int fd);
// The same of all that a process has alone, which ends.
void end_in_cgroup(System& system, Task& task);
// Has a call that receives to be looked at when it is over, and what is then done?
bool receives_in_cgroup(System& system, Call& call);
void received_in_cgroup(System& system, Call& call);

// Of a type that nothing of the tree passes: what the user is told. Null: it is passed.
const char* never_passed(u32 attach_type);
// Values that maps hold of a cgroup that is removed.
void forget_cgroup_storage(IdSpace<MapObject>& maps, u64 cgroup);

}  // namespace bpfemu
