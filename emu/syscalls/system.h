// SPDX-License-Identifier: Apache-2.0
// One emulated kernel: everything that a bpfemu run holds, put together in one place and handed to the handlers.
#pragma once

#include <memory>

#include "emu/arena/arena.h"
#include "emu/base/log.h"
#include "emu/base/object.h"
#include "emu/bpf/link.h"
#include "emu/bpf/map_object.h"
#include "emu/bpf/program.h"
#include "emu/kernel/cgroup_stats.h"
#include "emu/kernel/cgroups.h"
#include "emu/kernel/congestion_controls.h"
#include "emu/kernel/d_path.h"
#include "emu/kernel/keys.h"
#include "emu/kernel/networks.h"
#include "emu/kernel/objects.h"
#include "emu/kernel/per_cpu_objects.h"
#include "emu/kernel/profile.h"
#include "emu/kernel/socket_maps.h"
#include "emu/kernel/sock_object.h"
#include "emu/kernel/test_object.h"
#include "emu/ports/host.h"
#include "emu/ports/sites.h"
#include "emu/probe/bpf_timers.h"
#include "emu/probe/probes.h"
#include "emu/syscalls/explanations.h"
#include "emu/syscalls/files.h"
#include "emu/syscalls/host_paths.h"
#include "emu/syscalls/identity.h"
#include "emu/syscalls/owners.h"
#include "emu/syscalls/rtnetlink.h"
#include "emu/syscalls/socket_filters.h"
#include "emu/verifier/verifier.h"
#include "emu/vfs/vfs.h"

namespace bpfemu {

class CgroupLsm;
struct IterWorld;
class QuietMaps;
class QuietPaths;

struct Options {
  u32 cpus_online = 0, cpus_possible = 0;            // 0: as the host
  bool as_user = false;                              // what an unprivileged bpf() gives, instead of root's view
  Root root = {};                                    // else: in which way the tools are root
  std::string btf;                                   // "", "host", "none" or a file
  bool native_io_uring = false;                      // io_uring is the host's, instead of absent
  bool trace = false;                                // one line on stderr per answered call
  ExplainMode explain = ExplainMode::kAuto;          // which refused programs are explained on stderr
  bool btf_at_start = false;                         // unpacks BTF before, not within, the first load: for measurements
};

class System {
 public:
  // Builds the model for `options`. The ports must outlive it. EINVAL: bad --btf file; ENOMEM: no arena.
  static Result<std::unique_ptr<System>> create(const Options& options, Host& host, Sites& sites);
  ~System();

  // What a traced task may do: what root may and it did not drop itself, or nothing with --as-user.
  Capabilities capabilities(const Task& task) const { return identities.capabilities(task.tid()); }
  // The user that the task is to the modelled kernel.
  u32 uid_of(const Task& task) const;
  // The number of a thread in another's pid namespace, 0: it has none there.
  pid_t number_for(const Task& asking, pid_t tid) const;
  // As whom it asks for files.
  Credentials credentials(const Task& task) const;
  // The task's current folder is a synthetic one from now on.
  void watch_inside(Task& task) { host.want_in_process(task, calls_of(TraceWhen::kInside)); }

  Options options;
  Profile profile;
  bool roots_differ = false;                         // a task may have another root, or mounts of its own
  std::unique_ptr<Arena> arena;
  std::unique_ptr<TestObject> test_object;           // prog_test_struct; maps may own references to it
  Unmodelled unmodelled;
  Explanations explanations;
  KernelData kernel;
  DynamicEvents dynamic_events;                      // kprobe_events, uprobe_events, error_log
  Cgroups cgroups;
  CgroupStats cgroup_stats;
  EventSwitches event_switches;                      // which events the trace buffer records
  TraceOptions trace_options;
  TraceLog trace_log;                                // trace and trace_pipe
  std::unique_ptr<ObjectSpace> object_space;
  std::unique_ptr<Keys> keys;                        // that programs hold
  std::unique_ptr<KernelObjects> objects;            // task_struct and what hangs on it
  std::unique_ptr<PerCpuObjects> per_cpu;            // per-CPU variables
  std::unique_ptr<SockObjects> sock_objects;         // struct sock
  IdSpace<MapObject> maps;
  bool maps_shown = false;                           // somebody looks at them as at the kernel's own structs
  bool arena_mapped = false;                         // some process has had pages of the arena
  IdSpace<Program> programs;
  IdSpace<Btf> btfs;
  IdSpace<Link> links;
  CongestionControls congestion_controls;            // that programs implement
  std::shared_ptr<const Btf> vmlinux;                // id 1, null with --btf none
  VerifierWorld verifier;
  Identities identities;
  Owners owners;                                     // that only root could have given
  Networks networks;                                 // what is attached to network devices and namespaces
  Rtnetlink rtnetlink;
  SocketFilters socket_filters;                      // programs of sockets
  HostPaths host_paths;
  std::unique_ptr<SocketOps> sock_ops;               // of cgroups
  std::unique_ptr<Probes> probes;
  std::unique_ptr<SocketMaps> socket_maps;           // maps that hold sockets of the tree
  std::unique_ptr<IterWorld> iterators;              // what iterators walk
  std::unique_ptr<BpfTimers> timers;                 // bpf_timer_start() and its like
  std::unique_ptr<VfsWorld> vfs_world;
  std::unique_ptr<Vfs> vfs;
  std::unique_ptr<QuietMaps> quiet_maps;             // what processes read of maps by themselves
  std::unique_ptr<QuietPaths> quiet_paths;           // what processes decide by themselves
  std::unique_ptr<CgroupLsm> cgroup_lsm;             // where LSM programs of cgroups hang
  Files files;                                       // goes first: what it holds detaches from the probes
  Host& host;
  Sites& sites;

 private:
  System(const Options& options, Profile profile, Host& host, Sites& sites);
  Result<void> load_btf();
  void watch_descriptors();
};

}  // namespace bpfemu
