// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "emu/btf/btf_show.h"
#include "emu/hook/binprm.h"
#include "emu/hook/life.h"
#include "emu/kernel/cgroup_objects.h"
#include "emu/kernel/file_hash.h"
#include "emu/kernel/load_average.h"
#include "emu/kernel/packet_objects.h"
#include "emu/probe/perf_local.h"
#include "emu/runtime/perf_ring.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/bpf_cgroup.h"
#include "emu/syscalls/call.h"
#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/cgroup_lsm.h"
#include "emu/syscalls/cgroup_sock_ops.h"
#include "emu/syscalls/cgroup_sysctl.h"
#include "emu/syscalls/iter_world.h"
#include "emu/syscalls/ksyms.h"
#include "emu/syscalls/map_show.h"
#include "emu/syscalls/own_file.h"
#include "emu/syscalls/quiet_maps.h"
#include "emu/syscalls/quiet_paths.h"
#include "emu/syscalls/socket_options.h"

namespace bpfemu {

namespace {

// The whole of a BTF file: EINVAL when it cannot be read.
Result<std::vector<u8>> read_btf(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st;
  if (!fd || fstat(fd.get(), &st) != 0 || st.st_size <= 0) return fail(EINVAL);
  std::vector<u8> bytes(static_cast<size_t>(st.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t got = read(fd.get(), bytes.data() + done, bytes.size() - done);
    if (got <= 0) return fail(EINVAL);
    done += static_cast<size_t>(got);
  }
  return bytes;
}

u32 host_cpus(int name) { return static_cast<u32>(std::clamp<long>(sysconf(name), 1, kMaxCpus)); }

Options completed(Options options) {
  if (!options.cpus_possible) options.cpus_possible = std::max(host_cpus(_SC_NPROCESSORS_CONF), options.cpus_online);
  if (!options.cpus_online) options.cpus_online = std::min(host_cpus(_SC_NPROCESSORS_ONLN), options.cpus_possible);
  if (options.as_user) options.root = {.way = RootWay::kBare};
  return options;
}

}  // namespace

System::System(const Options& o, Profile p, Host& h, Sites& s)
    : options(completed(o)),
      profile(std::move(p)),
      explanations(options.explain),
      kernel(profile),
      dynamic_events(kernel, unmodelled, options.cpus_possible),
      cgroups(h),
      event_switches(kernel, dynamic_events, unmodelled),
      trace_options(kernel.file("trace/trace_options"), unmodelled),
      identities(options.root, h),
      networks(h),
      rtnetlink(h),
      host(h),
      sites(s) {}

System::~System() = default;

Result<void> System::load_btf() {
  std::shared_ptr<Btf> btf;
  if (options.btf.empty()) {
    auto recorded = kernel.btf();
    if (!recorded) return {};  // built without the profile's data: as a kernel without BTF
    btf = *recorded;
  } else if (options.btf != "none") {
    auto raw = TRY(read_btf(options.btf == "host" ? "/sys/kernel/btf/vmlinux" : options.btf));
    btf = TRY(Btf::load_kernel(std::move(raw), "vmlinux"));
  }
  if (!btf) return {};
  if (options.btf_at_start) (void)btf->find("task_struct", BTF_KIND_STRUCT);
  btfs.add(btf);
  vmlinux = btf;
  return {};
}

// A process that holds a file of ours stops at the calls that the file must answer.
void System::watch_descriptors() {
  files.installed = [this](Task& task, FileId id, const File& file) {
    quiet_maps->opened(id, file);
    SyscallSet calls;
    for (TraceWhen when : file.stops()) calls |= calls_of(when);
    host.want_in_process(task, calls);
  };
  files.ended_carrier = [this](FileId id) { quiet_maps->closed(id); };
}

Credentials System::credentials(const Task& task) const {
  Credentials who;
  if (!identities.root().answered()) {
    auto facts = host.facts(task.tid());
    if (facts) who.uid = facts->euid, who.gid = facts->gid;
  }
  u64 effective = identities.effective(task.tid());
  auto has = [=](int cap) { return (effective >> cap & 1) != 0; };
  who.dac_override = has(CAP_DAC_OVERRIDE);
  who.dac_read_search = has(CAP_DAC_READ_SEARCH);
  who.chown = has(CAP_CHOWN);
  who.fowner = has(CAP_FOWNER);
  return who;
}

pid_t System::number_for(const Task& asking, pid_t tid) const {
  const auto its = host.facts(tid), own = host.facts(asking.tid());
  if (!its || !own || own->local_tid == own->tid) return tid;
  return its->pid_namespace == own->pid_namespace ? its->local_tid : 0;
}

u32 System::uid_of(const Task& task) const {
  if (identities.root().answered()) return 0;
  auto facts = host.facts(task.tid());
  return facts ? facts->uid : 0;
}

Result<std::unique_ptr<System>> System::create(const Options& options, Host& host, Sites& sites) {
  std::unique_ptr<System> system(new System(options, default_profile(), host, sites));
  System& s = *system;
  s.arena = TRY(Arena::create(s.options.cpus_possible));
  TRY(s.load_btf());
  s.object_space = std::make_unique<ObjectSpace>(*s.arena, s.vmlinux);
  s.keys = std::make_unique<Keys>(*s.object_space, s.unmodelled);
  s.objects = std::make_unique<KernelObjects>(
      *s.object_space, [&host](pid_t tid) { return host.facts(tid); }, [&host](u32 cpu) { return host.runnable(cpu); },
      [&s](std::string_view symbol) { return s.kernel.symbols().address(symbol); });
  s.objects->mounts.own = [&s](u64 dev, u64 ino) -> std::optional<OwnFile> {
    const auto file = s.files.none() ? nullptr : s.files.find(FileId{dev, ino});
    return file ? std::optional(own_file(*s.vfs, *file)) : std::nullopt;
  };
  s.objects->tasks.cgroup_of = [&s](pid_t tid) { return s.cgroups.of(tid); };
  s.per_cpu = std::make_unique<PerCpuObjects>(
      *s.object_space, s.vmlinux, s.unmodelled,
      [&s](std::string_view symbol) { return s.kernel.symbols().address(symbol); });
  s.test_object = std::make_unique<TestObject>(*s.arena, s.vmlinux);
  s.sock_objects = std::make_unique<SockObjects>(s.vmlinux);
  s.verifier = {.vmlinux = s.vmlinux,
                .cpus = s.options.cpus_possible,
                .ksym = [&s](std::string_view name) { return s.kernel.symbols().address(name); }};
  Outlets outlets;
  outlets.wake = [&s](const void* ring) { s.files.wake(ring); };
  outlets.trace = &s.trace_log;
  s.trace_log.options = &s.trace_options;
  if (const TraceEvent* printk = s.kernel.events().find("bpf_trace", "bpf_trace_printk")) s.trace_log.printk_type = printk->id;
  outlets.task_struct = [&s](const TaskFacts& facts) { return s.objects->tasks.task_struct(facts); };
  outlets.cgroup_of = [&s](pid_t tid) { return s.cgroups.of(tid); };
  outlets.cgroup_above = [&s](u64 id, u32 level) -> u64 {
    const auto cgroup = s.cgroups.find(id);
    const Cgroup* const above = cgroup ? cgroup->ancestor(level) : nullptr;
    return above ? above->id() : 0;
  };
  connect_socket_options(s, outlets);
  outlets.test_object = [&s] { return s.test_object->address(); };
  outlets.show_sock = [&s](RunSock& sock) { return s.sock_objects->show(sock); };
  outlets.task_gone = [&s](pid_t tid) { s.objects->tasks.forget(tid); };
  outlets.symbol_at = [&s](u64 address) { return s.kernel.symbols().locate(address); };
  outlets.object_read = [&s](u64 address, u64 size) { s.object_space->was_read(address, size); };
  outlets.at_kernel_address = [&s, first = true](u64 address, u64 size) mutable {
    // Symbols are not read before somebody needs them.
    if (std::exchange(first, false)) show_load_averages(*s.object_space, s.kernel.symbols().address("avenrun"));
    return s.object_space->at_kernel_address(address, size);
  };
  outlets.path_text = [&s](u64 path) { return d_path(*s.arena, *s.object_space, path); };
  outlets.show_type = [&s](u32 type, u64 flags, const Outlets::ReadObject& read) -> Result<std::string> {
    if (!s.vmlinux) return fail(EINVAL);
    if (!s.vmlinux->type(type)) return fail(ENOENT);
    std::vector<u8> object(s.vmlinux->size_of(type).value_or(0));
    if (!read(object.data(), object.size())) return fail(EFAULT);
    return btf_show(*s.vmlinux, type, object, flags);
  };
  outlets.shown_context = [&s](const Run& run) { return shown_context(*s.object_space, *s.sock_objects, run); };
  outlets.kernel_address = [](u64 address) { return kernel_address(address); };
  outlets.thread_at = [&s](u64 task) {
    const auto known = s.objects->tasks.task_at(task);
    return known ? known->tid : 0;
  };
  outlets.cgroup_updated = [&s](u64 cgroup, u32 cpu) {
    s.cgroup_stats.updated(s.cgroups.find(cgroup_id_at(*s.object_space, cgroup)), cpu);
  };
  outlets.cgroup_flush = [&s](Run& run, u64 cgroup) { flush_cgroup_stats(s, run, cgroup); };
  outlets.task_ended = [&s](u64 task) {
    const auto known = s.objects->tasks.task_at(task);
    return known && known->ended;
  };
  outlets.find_vma = [&s](u64 task, u64 address) -> u64 {
    const auto known = s.objects->tasks.task_at(task);
    return known && known->mm ? s.objects->memory.area(known->tgid, known->mm, address).address() : 0;
  };
  outlets.task_regs = [&s](u64 task, const PtRegs& regs) { return s.objects->tasks.show_registers(task, regs); };
  outlets.read_perf_event = [&s](const PerfEventState& state, pid_t tid, u32 cpu, u64* to) {
    return read_local(*s.probes, state.id, tid, cpu, to);
  };
  outlets.set_secure = [&s](u64 bprm, bool secure) { set_secure(s.object_space->structure("linux_binprm"), bprm, secure); };
  outlets.file_hash = [&s](Task& task, u64 file) { return file_hash(*s.arena, *s.object_space, task, file); };
  outlets.user_key = [&s](Task& task, s32 serial, u64 flags) {
    constexpr u64 kCreate = 1;  // kernel: KEY_LOOKUP_CREATE
    return s.keys->user(task, serial, flags & kCreate);
  };
  outlets.system_key = [&s](u64 id) { return s.keys->system(id); };
  outlets.put_key = [&s](u64 key) { s.keys->put(key); };
  outlets.packet_of = [&s](u64 object) { return context_shown_as(*s.arena, *s.object_space, object); };
  outlets.functions_listened = [&s](const u8* listened) {
    show_maps(s);
    for (auto id = s.programs.next(0); id; id = s.programs.next(*id)) {
      const auto program = s.programs.find(*id);
      if (program) tell_of_helpers(s, **program, listened);
    }
  };
  outlets.per_cpu = [&s](u64 symbol, u32 cpu) { return s.per_cpu->variable(symbol, cpu); };
  outlets.symbol = [&s](const std::string& name) { return s.kernel.symbols().address(name); };
  s.sock_ops = std::make_unique<CgroupSockOps>(s);
  s.probes = std::make_unique<Probes>(
      Probes::Parts{.arena = *s.arena,
                    .host = host,
                    .sites = sites,
                    .unmodelled = s.unmodelled,
                    .kernel = s.kernel,
                    .dynamic_events = s.dynamic_events,
                    .objects = *s.object_space,
                    .mounts = s.objects->mounts,
                    .files = s.objects->files,
                    .socket_ops = s.sock_ops.get(),
                    .switches = &s.event_switches,
                    .answered = answered_calls()},
      std::move(outlets));
  s.probes->sockets().cgroup_of = [&s](u64 inode) { return s.cgroups.of_socket(inode); };
  s.objects->files.socket_of = [&s](pid_t tgid, int fd) -> u64 {
    Task* const task = s.host.find_task(tgid);
    const SocketRef socket = task ? s.probes->sockets().behind(*task, fd) : nullptr;
    return socket ? s.probes->sockets().socket(*socket).address() : 0;
  };
  s.cgroup_lsm = std::make_unique<CgroupLsm>(s);
  s.timers = std::make_unique<BpfTimers>(
      s.probes->runner(), host, [&s](u32 id) { return s.maps.find(id); }, [&s](u32 id) { return s.programs.find(id); });
  s.probes->runner().timers = s.timers.get();
  s.socket_maps = std::make_unique<SocketMaps>(*s.arena, host, s.probes->sockets(), s.maps);
  s.probes->runner().sockets = &s.socket_maps->services();
  s.iterators = make_iter_world(s);
  s.vfs_world = std::make_unique<VfsWorld>(VfsWorld{.profile = s.profile,
                                                    .kernel = s.kernel,
                                                    .dynamic_events = s.dynamic_events,
                                                    .trace_log = s.trace_log,
                                                    .trace_options = s.trace_options,
                                                    .event_switches = s.event_switches,
                                                    .unmodelled = s.unmodelled,
                                                    .cgroups = s.cgroups,
                                                    .congestion_controls = s.congestion_controls,
                                                    .cpus_online = s.options.cpus_online,
                                                    .cpus_possible = s.options.cpus_possible,
                                                    .privileged = !s.options.as_user,
                                                    .vmlinux = s.vmlinux,
                                                    .program_symbols = [&s] { return program_lines(s.programs); },
                                                    .show_pin = [&s](Object& object, Task& reader) -> Result<std::string> {
                                                      if (object.kind() != ObjectKind::kMap) return fail(EIO);
                                                      return show_map(s, reader, static_cast<MapObject&>(object));
                                                    },
                                                    .find_task = [&s](Task& asking, pid_t tid) { return s.host.find_local(asking, tid); },
                                                    .number_for = [&s](Task& asking, pid_t tid) { return s.number_for(asking, tid); },
                                                    .ask_for_sysctl = [&s](Task& task, SysctlUse& use) { return ask_for_sysctl(s, task, use); },
                                                    .sysctls_asked_for = [&s] { return s.cgroups.used_types[BPF_CGROUP_SYSCTL]; },
                                                    .set_bpf_stats = [&s](bool on) {
                                                      s.probes->runner().stats_users += on ? 1 : -1;
                                                      s.probes->programs_changed();
                                                    }});
  s.vfs = std::make_unique<Vfs>(*s.vfs_world);
  s.quiet_maps = std::make_unique<QuietMaps>(s);
  s.quiet_paths = std::make_unique<QuietPaths>(s);
  s.host_paths.forgotten = [&s] { s.quiet_paths->forget(); };
  s.cgroups.attaching = [&s](Task& writer, const Cgroup& to, pid_t leader) {
    s.probes->pass(writer, [&](Occasion& occasion) {
      pass_attaching(occasion, [&] { return cgroup_object(*s.object_space, to).address(); }, leader);
    });
  };
  s.cgroups.entered = [&s](Task& task) { watch_sockets(s, task); };
  s.cgroups.removed = [&s](Cgroup& cgroup) {
    release_programs(cgroup);
    forget_cgroup_storage(s.maps, cgroup.id());
  };
  s.watch_descriptors();
  return system;
}

}  // namespace bpfemu
