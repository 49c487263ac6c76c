// SPDX-License-Identifier: Apache-2.0
// perf_event_open (kernel: kernel/events/core.c, kernel/trace/trace_event_perf.c). Every event is ours: tracing events,
// program output, and what the kernel counts in software. Hardware events there are none, as in most virtual machines.
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "emu/base/fd.h"
#include "emu/probe/probes.h"
#include "emu/probe/tracepoints.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/call.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/perf_breakpoint.h"
#include "emu/syscalls/perf_file.h"
#include "emu/syscalls/system.h"
#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

using Sort = PerfEvent::Sort;

constexpr u64 kAllFlags = PERF_FLAG_FD_NO_GROUP | PERF_FLAG_FD_OUTPUT | PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC;
constexpr u64 kSymbolLimit = 512;        // KSYM_NAME_LEN
constexpr u64 kPathLimit = 4096;         // PATH_MAX
constexpr u32 kRefCounterShift = 32;     // PERF_UPROBE_REF_CTR_OFFSET_SHIFT
constexpr u64 kExtendedRegs = ~u64{0} << 32;  // PERF_REG_EXTENDED_MASK: XMM0 and on
constexpr u64 kNoRegs = 0xff00f000;      // segment and unassigned registers (kernel: perf_reg_validate)

// One call, its attr copied once.
struct Open {
  System& system;
  Task& task;
  perf_event_attr attr{};
  pid_t pid;
  int cpu;
  int group_fd;
  u64 flags;
};

Result<perf_event_attr> copy_attr(Task& task, u64 address) {
  perf_event_attr attr{};
  u32 size;
  TRY(task.read(address + offsetof(perf_event_attr, size), &size, sizeof size));
  if (size == 0) size = PERF_ATTR_SIZE_VER0;
  auto too_big = [&]() -> Result<perf_event_attr> {
    u32 known = sizeof(perf_event_attr);
    (void)task.write(address + offsetof(perf_event_attr, size), &known, sizeof known);
    return fail(E2BIG);
  };
  if (size < PERF_ATTR_SIZE_VER0 || size > kPageSize) return too_big();
  if (auto tail = check_tail_zero(task, address, sizeof(perf_event_attr), size); !tail) {
    return tail.error().value == E2BIG ? too_big() : fail(tail.error().value);
  }
  TRY(task.read(address, &attr, std::min<size_t>(size, sizeof attr)));
  attr.size = size;
  return attr;
}

// What perf_copy_attr refuses, in its order. Branch stacks are refused by every event of ours, later.
Result<void> check_attr(const perf_event_attr& attr) {
  auto regs_ok = [](u64 mask) { return mask != 0 && !(mask & kNoRegs); };
  if (attr.__reserved_1 || attr.__reserved_2 || attr.__reserved_3) return fail(EINVAL);
  if (attr.sample_type & ~u64{PERF_SAMPLE_MAX - 1}) return fail(EINVAL);
  if (attr.read_format & ~u64{PERF_FORMAT_MAX - 1}) return fail(EINVAL);
  if (attr.sample_type & PERF_SAMPLE_BRANCH_STACK) {
    if (attr.branch_sample_type & ~u64{PERF_SAMPLE_BRANCH_MAX - 1}) return fail(EINVAL);
    if (!(attr.branch_sample_type & ~u64{PERF_SAMPLE_BRANCH_PLM_ALL})) return fail(EINVAL);
  }
  if ((attr.sample_type & PERF_SAMPLE_REGS_USER) && !regs_ok(attr.sample_regs_user)) return fail(EINVAL);
  if (attr.sample_type & PERF_SAMPLE_STACK_USER) {
    if (attr.sample_stack_user >= 0xffff || attr.sample_stack_user % sizeof(u64)) return fail(EINVAL);
  }
  bool regs_intr_bad = (attr.sample_type & PERF_SAMPLE_REGS_INTR) && !regs_ok(attr.sample_regs_intr);
  if ((attr.sample_type & PERF_SAMPLE_WEIGHT) && (attr.sample_type & PERF_SAMPLE_WEIGHT_STRUCT)) return fail(EINVAL);
  if (!attr.inherit && attr.inherit_thread) return fail(EINVAL);
  if (attr.remove_on_exec && attr.enable_on_exec) return fail(EINVAL);
  if (attr.sigtrap && !attr.remove_on_exec) return fail(EINVAL);
  if (regs_intr_bad) return fail(EINVAL);
  return {};
}

// What kernel.perf_event_paranoid keeps from who lacks CAP_PERFMON, by the most that it may be all the same (kernel:
// perf_allow_kernel, perf_allow_cpu, perf_allow_tracepoint).
enum class Paranoid : s8 { kTracepoint = -1, kCpu = 0, kKernel = 1 };

bool allowed(const Open& open, Paranoid most) {
  return open.system.vfs_world->sysctls["kernel/perf_event_paranoid"] <= static_cast<s64>(most) ||
         open.system.capabilities(open.task).perfmon;
}

// kernel: perf_event_open, before it looks at whom the event concerns.
Result<void> check_rights(const Open& open) {
  constexpr s64 kOpenToAll = 2;  // Debian's perf_paranoid_any
  const perf_event_attr& attr = open.attr;
  const Capabilities held = open.system.capabilities(open.task);
  if (open.system.vfs_world->sysctls["kernel/perf_event_paranoid"] > kOpenToAll && !held.sys_admin) return fail(EACCES);
  const bool of_kernel = !attr.exclude_kernel || attr.text_poke || (attr.sample_type & PERF_SAMPLE_PHYS_ADDR);
  if (of_kernel && !allowed(open, Paranoid::kKernel)) return fail(EACCES);
  if (attr.namespaces && !held.perfmon) return fail(EACCES);
  return {};
}

Result<void> check_rate(const perf_event_attr& attr) {
  if (attr.freq ? attr.sample_freq > kMaxSampleRate : attr.sample_period >> 63) return fail(EINVAL);
  return {};
}

// What an event of this sort shows may be had by administrators only (kernel: perf_kprobe_event_init,
// perf_uprobe_event_init).
Result<void> check_sort(const Open& open, Sort sort) {
  const Capabilities held = open.system.capabilities(open.task);
  if (sort == Sort::kKprobe && !held.perfmon) return fail(EACCES);
  if (sort == Sort::kUprobe && !held.sys_admin) return fail(EACCES);
  return {};
}

// EPERM: the record's content would be shown (kernel: perf_trace_event_perm). Calls and user probes are open to all, in
// one thread.
Result<void> check_record(const Open& open, const Point& point) {
  if (!(open.attr.sample_type & PERF_SAMPLE_RAW)) return {};
  const Point::Where& where = point.where();
  const bool of_user = where.in_user() || where.tracepoint == "sys_enter" || where.tracepoint == "sys_exit";
  if (open.pid != -1 && of_user) return {};
  return allowed(open, Paranoid::kTracepoint) ? Result<void>{} : fail(EPERM);
}

// EACCES: not a thread of the caller's (kernel: perf_check_permission; find_get_context).
Result<void> check_whom(const Open& open, const Task* target) {
  if (!target) return allowed(open, Paranoid::kCpu) ? Result<void>{} : fail(EACCES);
  if (target->tgid() == open.task.tgid() || open.system.capabilities(open.task).perfmon) return {};
  open.system.unmodelled.note("perf_event_open: of other processes, without CAP_PERFMON");
  return fail(EACCES);
}

// ENOENT: no such event (kernel: perf_init_event).
Result<Sort> software_sort(Unmodelled& unmodelled, const perf_event_attr& attr) {
  switch (attr.config) {
    case PERF_COUNT_SW_CPU_CLOCK:
    case PERF_COUNT_SW_TASK_CLOCK: return Sort::kClock;
    case PERF_COUNT_SW_BPF_OUTPUT: return Sort::kOutput;
    case PERF_COUNT_SW_CGROUP_SWITCHES:  // the hierarchy of perf_event is one of version 1, where all are in the root
    case PERF_COUNT_SW_DUMMY:
    case PERF_COUNT_SW_ALIGNMENT_FAULTS:  // x86 has neither of these faults
    case PERF_COUNT_SW_EMULATION_FAULTS: return Sort::kCounter;
    default: break;
  }
  if (attr.config >= PERF_COUNT_SW_MAX) return fail(ENOENT);
  const bool faults = attr.config == PERF_COUNT_SW_PAGE_FAULTS || attr.config == PERF_COUNT_SW_PAGE_FAULTS_MIN ||
                      attr.config == PERF_COUNT_SW_PAGE_FAULTS_MAJ;
  if (faults && attr.exclude_user) unmodelled.note("perf_event_open: page faults that the kernel itself has");
  if (attr.sample_period) unmodelled.note("perf_event_open: where a sampled fault, switch or migration happened");
  return Sort::kCounter;
}

Result<Sort> sort_of(Unmodelled& unmodelled, const perf_event_attr& attr) {
  auto not_there = [&](const char* type) -> Result<Sort> {
    unmodelled.note("perf event", fmt::format("{}:{:#x}", type, u64{attr.config}));
    return fail(ENOENT);
  };
  switch (attr.type) {
    case PERF_TYPE_TRACEPOINT: return Sort::kTracepoint;
    case kKprobePmu: return Sort::kKprobe;
    case kUprobePmu: return Sort::kUprobe;
    case PERF_TYPE_SOFTWARE: return software_sort(unmodelled, attr);
    case PERF_TYPE_HARDWARE: return not_there("hardware");
    case PERF_TYPE_HW_CACHE: return not_there("hw-cache");
    case PERF_TYPE_RAW: return not_there("raw");
    case PERF_TYPE_BREAKPOINT: return Sort::kBreakpoint;
    default: return fail(ENOENT);
  }
}

// What an event can ask for that no record of ours has.
Result<void> check_modelled(Unmodelled& unmodelled, const perf_event_attr& attr) {
  if (attr.sample_type & (PERF_SAMPLE_REGS_INTR | PERF_SAMPLE_CODE_PAGE_SIZE)) {
    unmodelled.note("perf_event_open: kernel registers and page sizes in samples");
    return fail(EINVAL);
  }
  if (attr.sigtrap) {
    unmodelled.note("perf_event_open: sigtrap");
    return fail(EINVAL);
  }
  if (attr.context_switch || attr.namespaces || attr.cgroup || attr.text_poke) {
    unmodelled.note("perf_event_open: records of switches, namespaces, cgroups and kernel text");
  }
  if (attr.build_id) unmodelled.note("perf_event_open: build ids in records of mappings");
  return {};
}

// kernel: perf_event_set_clock. What counts at points may do so in an NMI, for all that its unit says.
Result<void> check_clock(const perf_event_attr& attr, Sort sort) {
  constexpr int in_nmi[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW};
  constexpr int others[] = {CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI};
  if (!attr.use_clockid || std::ranges::count(in_nmi, attr.clockid)) return {};
  const bool never_in_nmi = sort == Sort::kClock || sort == Sort::kCounter || sort == Sort::kOutput;
  return never_in_nmi && std::ranges::count(others, attr.clockid) ? Result<void>{} : fail(EINVAL);
}

// What perf_event_open asks of the group that the event is to join.
Result<void> check_group(const Open& open, const PerfEvent& leader) {
  if (&leader.leader() != &leader) return fail(EINVAL);
  auto clock = [](const perf_event_attr& attr) { return attr.use_clockid ? attr.clockid : -1; };
  if (clock(leader.attr()) != clock(open.attr)) return fail(EINVAL);
  if (leader.spec().cpu != open.cpu || leader.spec().pid != open.pid) return fail(EINVAL);
  if (open.attr.exclusive || open.attr.pinned) return fail(EINVAL);
  return check_read_sizes(leader, open.attr.read_format);
}

// A string of the tool's: E2BIG when it is too long, EFAULT.
Result<std::string> copy_string(Task& task, u64 address, size_t limit) {
  auto text = task.read_string(address, limit);
  if (!text && text.error().value == ENAMETOOLONG) return fail(E2BIG);
  return text;
}

// kernel: perf_kprobe_init.
Result<std::shared_ptr<Point>> open_kprobe(Open& open) {
  std::string symbol;
  if (open.attr.kprobe_func) symbol = TRY(copy_string(open.task, open.attr.kprobe_func, kSymbolLimit));
  bool on_return = open.attr.config & 1;
  u64 offset = symbol.empty() ? 0 : open.attr.probe_offset;
  return TRY(kprobe(*open.system.probes, symbol, open.attr.kprobe_addr, offset, on_return));
}

// kernel: perf_uprobe_init.
Result<std::shared_ptr<Point>> open_uprobe(Open& open) {
  if (!open.attr.uprobe_path) return fail(EINVAL);
  std::string path = TRY(copy_string(open.task, open.attr.uprobe_path, kPathLimit));
  if (path.empty()) return fail(EINVAL);
  auto file = TRY(UserFile::open(open.task, open.attr.uprobe_path));
  return TRY(uprobe(*open.system.probes, {.path = path,
                                          .file = std::move(file),
                                          .offset = open.attr.probe_offset,
                                          .ref_ctr_offset = open.attr.config >> kRefCounterShift,
                                          .on_return = (open.attr.config & 1) != 0}));
}

Result<std::shared_ptr<Point>> open_point(Open& open, Sort sort) {
  switch (sort) {
    case Sort::kTracepoint:
      if (open.attr.config >> 32) return fail(EINVAL);
      return tracepoint(*open.system.probes, static_cast<u32>(open.attr.config));
    case Sort::kKprobe: return open_kprobe(open);
    case Sort::kUprobe: return open_uprobe(open);
    default: return nullptr;
  }
}

// kernel: perf_cgroup_connect.
bool is_cgroup(System& system, Task& task, int fd) {
  if (const auto file = system.files.ours(task, fd)) {
    NodeFile* const node = file->node();
    return node && cgroup_of(*node->found().node);
  }
  const auto copy = task.reopen_fd(fd, O_PATH);
  const UniqueFd folder(copy ? *copy : -1);
  struct statfs found{};
  if (!folder || fstatfs(folder.get(), &found) != 0) return false;
  return found.f_type == CGROUP_SUPER_MAGIC || found.f_type == CGROUP2_SUPER_MAGIC;
}

Result<u64> open_event(Open& open) {
  System& system = open.system;
  TRY(check_rights(open));
  TRY(check_rate(open.attr));
  if (open.flags & PERF_FLAG_PID_CGROUP) {
    if (open.pid == -1 || open.cpu == -1) return fail(EINVAL);
    if (!is_cgroup(system, open.task, open.pid)) return fail(EBADF);
    system.unmodelled.note("perf_event_open: PERF_FLAG_PID_CGROUP");
    return fail(EINVAL);
  }

  std::shared_ptr<PerfEvent> leader, output;
  if (open.group_fd != -1) {
    leader = TRY(find_perf_event(system, open.task, open.group_fd));
    if (open.flags & PERF_FLAG_FD_OUTPUT) output = leader;
    if (open.flags & PERF_FLAG_FD_NO_GROUP) leader = nullptr;
  }
  const Task* target = open.pid == 0 ? &open.task : nullptr;
  if (open.pid > 0) target = system.host.find_local(open.task, open.pid);
  if (target) open.pid = target->tid();
  // Also of one that has exited, and leads threads that live (kernel: find_get_context).
  if (open.pid < -1 || (open.pid > 0 && (!target || target->memory_id() == 0))) return fail(ESRCH);
  if (open.pid != -1 && leader && leader->attr().inherit != open.attr.inherit) return fail(EINVAL);

  u32 cpus = system.arena->cpus();
  if (static_cast<u32>(open.cpu) >= cpus && (open.pid == -1 || open.cpu != -1)) return fail(EINVAL);
  if (open.attr.inherit && (open.attr.sample_type & PERF_SAMPLE_READ)) return fail(EINVAL);
  Sort sort = TRY(sort_of(system.unmodelled, open.attr));
  if (sort == Sort::kBreakpoint) TRY(check_breakpoint(system, open.task, open.attr, open.pid, open.cpu));
  TRY(check_sort(open, sort));
  if (open.attr.sample_type & PERF_SAMPLE_BRANCH_STACK) return fail(EOPNOTSUPP);
  if (open.attr.aux_output) return fail(EOPNOTSUPP);
  auto point = TRY(open_point(open, sort));
  if (sort == Sort::kTracepoint) TRY(check_record(open, *point));
  const bool chain = open.attr.sample_type & PERF_SAMPLE_CALLCHAIN;
  if (chain && open.attr.sample_max_stack > kMaxPerfStack) return fail(EOVERFLOW);
  if ((open.attr.sample_regs_user | open.attr.sample_regs_intr) & kExtendedRegs) return fail(EOPNOTSUPP);
  TRY(check_clock(open.attr, sort));
  TRY(check_whom(open, target));
  if (leader) TRY(check_group(open, *leader));
  TRY(check_modelled(system.unmodelled, open.attr));
  if (open.pid == -1 && open.cpu >= static_cast<int>(system.options.cpus_online)) {
    return fail(ENODEV);
  }

  if (open.attr.aux_sample_size) return fail(EINVAL);  // nobody in its group has AUX data

  auto event = TRY(PerfEvent::create(*system.probes, {.sort = sort,
                                                      .attr = open.attr,
                                                      .pid = open.pid,
                                                      .cpu = open.cpu,
                                                      .point = std::move(point),
                                                      .leader = std::move(leader)}));
  if (output) TRY(set_perf_output(*event, output.get()));
  bool cloexec = open.flags & PERF_FLAG_FD_CLOEXEC;
  return static_cast<u64>(TRY(system.files.install(open.task, std::make_shared<PerfEventFile>(event), cloexec)));
}

}  // namespace

Result<std::shared_ptr<PerfEvent>> find_perf_event(System& system, Task& task, int fd) {
  auto file = TRY(system.files.find(task, fd));
  auto object = file ? file->object() : nullptr;
  if (!object || object->kind() != ObjectKind::kPerfEvent) return fail(EBADF);
  return std::static_pointer_cast<PerfEvent>(object);
}

Result<perf_event_attr> copy_perf_attr(Task& task, u64 address) {
  const perf_event_attr attr = TRY(copy_attr(task, address));
  TRY(check_attr(attr));
  return attr;
}

Reply enter_perf_event_open(System& system, Call& call) {
  Open open{.system = system,
            .task = call.task,
            .pid = static_cast<pid_t>(call.args[1]),
            .cpu = static_cast<int>(call.args[2]),
            .group_fd = static_cast<int>(call.args[3]),
            .flags = call.args[4]};
  if (open.flags & ~kAllFlags) return Reply::answer(-EINVAL);
  const auto attr = copy_perf_attr(call.task, call.args[0]);
  if (!attr) return Reply::answer(-attr.error().value);
  open.attr = *attr;
  return Reply::answer(open_event(open));
}

}  // namespace bpfemu
