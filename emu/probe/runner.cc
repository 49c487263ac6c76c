// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "emu/arena/vcpu.h"
#include "emu/bpf/cgroup.h"
#include "emu/probe/point.h"
#include "emu/probe/run_services.h"
#include "emu/runtime/helpers/helpers.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kIdleTid = 0x7ffffffe;  // holds a vCPU for the idle task, whose own tid means "free"

void set_comm(char (&comm)[16], std::string_view name) {
  memset(comm, 0, sizeof comm);
  name.copy(comm, sizeof comm - 1);
}

}  // namespace

ProgramNeeds needs_of(const Program& program) {
  ProgramNeeds needs;
  for (const Insn& insn : program.verified.insns) {
    if (!is_helper_call(insn)) continue;
    const u8 shown = helper_needs(static_cast<u32>(insn.imm));
    needs.add({.cpu = (shown & kNeedsCpu) != 0,
               .comm = (shown & kNeedsComm) != 0,
               .user = (shown & kNeedsUser) != 0,
               .cgroup = (shown & kNeedsCgroup) != 0});
  }
  for (const auto& map : program.verified.used_maps) needs.cpu |= map->ops().per_cpu || is_lru(map->map());
  return needs;
}

Runner::Runner(Arena& arena, Host& host, Unmodelled& unmodelled, Outlets outlets)
    : arena_(arena), host_(host), unmodelled_(unmodelled), outlets_(std::move(outlets)) {
  if (auto extent = arena.allocate((arena.cpus() + kSpareVcpus) * kContextSize)) contexts_ = *extent;
  struct stat st;
  if (stat("/proc/self/ns/pid", &st) == 0) {
    pid_namespace_dev_ = st.st_dev;
    pid_namespace_ino_ = st.st_ino;
  }
}

Runner::~Runner() {
  arena_.release(contexts_);
}

u64 Runner::cgroup_id(pid_t tid) const {
  const auto cgroup = cgroup_of(tid);
  return cgroup ? cgroup->id() : 1;
}

u64 Runner::task_struct(pid_t tid) {
  auto facts = host_.facts(tid);
  return facts ? task_struct_of(*facts) : 0;
}

u64 Runner::task_struct_of(const TaskFacts& facts) {
  if (!outlets_.task_struct) return 0;
  const auto shown = shown_names_.find(facts.tid);
  if (shown == shown_names_.end()) return outlets_.task_struct(facts);
  TaskFacts named = facts;
  set_comm(named.comm, shown->second);
  return outlets_.task_struct(named);
}

void Runner::show_name(pid_t tid, const std::optional<std::string>& name) {
  name ? (void)shown_names_.insert_or_assign(tid, *name) : (void)shown_names_.erase(tid);
}

// Null when the task is gone. Identity is looked up once; what can change since is looked up for those who ask.
Runner::Known* Runner::know(Task& task, const ProgramNeeds& needs) {
  auto [it, added] = known_.try_emplace(task.tid());
  Known& known = it->second;
  if (added || needs.user) {
    auto facts = host_.facts(task.tid());
    if (!facts) {
      known_.erase(it);
      return nullptr;
    }
    RunTask& run = known.task;
    run.tid = static_cast<u32>(facts->tid);
    run.tgid = static_cast<u32>(facts->tgid);
    run.ns_tid = facts->local_tid ? static_cast<u32>(facts->local_tid) : run.tid;
    run.ns_tgid = facts->local_tgid ? static_cast<u32>(facts->local_tgid) : run.tgid;
    run.uid = facts->uid;
    run.gid = facts->gid;
    run.cgroup_id = cgroup_id(task.tid());
    run.ns_dev = pid_namespace_dev_;
    run.ns_ino = facts->pid_namespace ? facts->pid_namespace : pid_namespace_ino_;
    memcpy(run.comm, facts->comm, sizeof run.comm);
  }
  if (needs.cgroup) known.task.cgroup_id = cgroup_id(task.tid());
  if (needs.comm) {
    if (!known.comm) {
      known.comm.reset(open(fmt::format("/proc/{}/comm", task.tid()).c_str(), O_RDONLY | O_CLOEXEC));
    }
    char comm[16];
    ssize_t size = known.comm ? pread(known.comm.get(), comm, sizeof comm, 0) : -1;
    if (size > 0) {
      memset(known.task.comm, 0, sizeof known.task.comm);
      memcpy(known.task.comm, comm, static_cast<size_t>(size) - 1);  // a newline ends it
    }
  }
  if (const auto shown = shown_names_.find(task.tid()); shown != shown_names_.end())
    set_comm(known.task.comm, shown->second);
  known.task.task_struct = 0;  // made anew for the first who asks
  return &known;
}

u64 Runner::ahead(int clock_id) {
  constexpr s64 kReadApart = 1'000'000;
  const u64 now = host_.clock(clock_id) - host_.clock(CLOCK_MONOTONIC);
  u64& known = ahead_[clock_id];
  if (std::abs(static_cast<s64>(now - known)) > kReadApart) known = now;
  return known;
}

namespace {

constexpr u32 kMostNested = 32;

u32 depth_of(const Run* run) {
  u32 depth = 0;
  for (; run; run = run->outer) ++depth;
  return depth;
}

// Programs that the kernel runs one of on a CPU (kernel: trace_call_bpf, bpf_overflow_handler).
bool is_exclusive(u32 type) {
  return type == BPF_PROG_TYPE_KPROBE || type == BPF_PROG_TYPE_TRACEPOINT || type == BPF_PROG_TYPE_PERF_EVENT;
}

// Kernel: bpf_prog_check_recur, of what trampolines call.
bool is_counted(const Program& program) {
  return program.type == BPF_PROG_TYPE_TRACING && program.expected_attach_type != BPF_TRACE_RAW_TP;
}

}  // namespace

bool RunScope::admits(const Program& program) const {
  for (const Run* each = run_.outer; each; each = each->outer) {
    if (is_exclusive(program.type) && (each->uninstrumented || (each->program && is_exclusive(each->program->type))))
      return false;
    if (!is_counted(program) || each->program != &program.text()) continue;
    ++program.text().stat_misses;
    return false;
  }
  return true;
}

Vcpu* RunScope::take_cpu(const ProgramNeeds& needs, int cpu, const Run* outer) {
  Arena& arena = runner_.arena_;
  const u32 holder = task_ ? static_cast<u32>(task_->tid()) : kIdleTid;
  if (outer) return acquire_spare_vcpu(arena.vcpus(), arena.cpus(), outer->cpu->id, holder);
  u32 wanted = cpu >= 0 ? static_cast<u32>(cpu) : 0;
  if (task_ && cpu < 0 && needs.cpu) wanted = runner_.host_.cpu_of(*task_);
  return await_cpu(wanted, holder);
}

// Threads that run programs by themselves are done in a moment, once they have a CPU of the machine, or have been given
// what they ask for.
Vcpu* RunScope::await_cpu(u32 wanted, u32 holder) {
  constexpr u64 kPatience = 2'000'000'000;
  constexpr timespec kNap = {0, 20'000};
  Arena& arena = runner_.arena_;
  u64 begun = 0;
  for (;;) {
    if (Vcpu* const cpu = acquire_vcpu(arena.vcpus(), arena.cpus(), wanted, holder, 0)) return cpu;
    const bool seated = std::any_of(arena.vcpus(), arena.vcpus() + arena.cpus(),
                                    [](const Vcpu& cpu) { return cpu.owner == 0 && cpu.seat; });
    const u64 now = runner_.host_.clock(CLOCK_MONOTONIC);
    if (begun == 0) begun = now;
    if (!seated || now - begun > kPatience) return acquire_vcpu(arena.vcpus(), arena.cpus(), wanted, holder);
    ::nanosleep(&kNap, nullptr);
    if (runner_.host_.breathe(task_)) return nullptr;
  }
}

RunScope::RunScope(Runner& runner, Task* task, PtRegs* regs, const ProgramNeeds& needs, int cpu, const Run* outer)
    : runner_(runner), task_(task), env_(run_services(*this)) {
  if (!task) {
    fmt::format_to_n(idle_.comm, sizeof idle_.comm - 1, "swapper/{}", std::max(cpu, 0));
  }
  if (depth_of(outer) >= kMostNested) {
    runner.unmodelled_.note("programs that listen to each other, more than 32 deep");
    return;
  }
  run_.cpu = take_cpu(needs, cpu, outer);
  if (!run_.cpu) return;
  auto* const known = task ? runner.know(*task, needs) : nullptr;
  if (task && !known) {
    release_vcpu(*std::exchange(run_.cpu, nullptr));
    return;
  }
  run_.outer = outer;
  run_.listened = runner.listened;
  // Who waited for a lock that is held further out would wait for ever.
  if (outer && (outer->cpu->held_count || !outer->env->breathe)) env_.breathe = nullptr;
  run_.env = &env_;
  run_.task = known ? &known->task : &idle_;
  run_.regs = regs;
  run_.cpus = runner.arena_.cpus();
  run_.counted = runner.stats_users != 0;
  enter_grace();
}

RunScope::~RunScope() {
  leave_grace();
  if (run_.cpu) release_vcpu(*run_.cpu);
}

void RunScope::breathe() {
  env_.exhausted = runner_.arena_.exhausted();
  (void)runner_.host_.breathe(task_);
  if (point_ && !points_->contains(point_)) point_ = nullptr;
}

void RunScope::enter_grace() {
  if (!std::exchange(in_grace_, true)) runner_.arena_.enter_grace();
}

void RunScope::leave_grace() {
  if (std::exchange(in_grace_, false)) runner_.arena_.leave_grace();
}

void RunScope::lend(const std::function<void()>& meanwhile) {
  const u32 wanted = run_.cpu->id, holder = task_ ? static_cast<u32>(task_->tid()) : kIdleTid;
  leave_grace();
  release_vcpu(*run_.cpu);
  do {
    meanwhile();
    run_.cpu = await_cpu(wanted, holder);
  } while (!run_.cpu);
  enter_grace();
}

void* RunScope::context_memory() {
  return reinterpret_cast<void*>(runner_.contexts_.address + run_.cpu->slot * kContextSize);
}

u64 RunScope::call_back(const Program& program, u64 (*callback)(u64, u64, u64, u64, u64, Run*), u64 r1, u64 r2,
                        u64 r3) {
  run_.program = &program.text();
  run_.tail_calls = 0;
  run_.breaths = kBreaths;
  return callback(r1, r2, r3, 0, 0, &run_);
}

u64 RunScope::call(const Program& program, void* context, u64 cookie, u64 func_ip) {
  ProgramText& text = program.text();
  run_.program = &text;
  subprograms_ = program.verified.subprogram_starts.size() > 1;
  run_.context = context;
  run_.cookie = cookie;
  run_.func_ip = func_ip;
  run_.tail_calls = 0;
  run_.breaths = kBreaths;
  if (!run_.counted) return text.entry(&run_, context);
  const u64 start = runner_.host_.clock(CLOCK_MONOTONIC);
  const u64 result = text.entry(&run_, context);
  ++text.stat_runs;
  text.stat_ns += runner_.host_.clock(CLOCK_MONOTONIC) - start;
  return result;
}

}  // namespace bpfemu
