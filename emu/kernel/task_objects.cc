// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/task_objects.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "emu/base/proc_files.h"
#include "emu/kernel/cgroup_objects.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxParents = 4;                                 // how far real_parent is followed
constexpr size_t kMostBlocks = ObjectSpace::kMostObjects / 2;  // threads whose end nobody reported are forgotten beyond
constexpr size_t kMostEnded = 64;                              // that may have ended by exec alone
// kernel: PF_RANDOMIZE, PF_FORKNOEXEC. The host's PF_SUPERPRIV tells of what the supervisor did in the task's name.
constexpr u32 kLastingFlags = 0x00400000 | 0x40;
constexpr u32 kNobody = ~u32{0};                               // kernel: INVALID_UID, AUDIT_SID_UNSET

// A namespace's inode number, 0 when the process is gone.
u32 namespace_of(pid_t tgid, const char* name) {
  struct stat st;
  if (::stat(fmt::format("/proc/{}/ns/{}", tgid, name).c_str(), &st) != 0) return 0;
  return static_cast<u32>(st.st_ino);
}

// Fields of /proc/PID/stat by their numbers in proc(5), from the state's on.
std::vector<u64> stat_numbers(pid_t tgid) {
  constexpr size_t kFirst = 3, kCount = 53;
  std::vector<u64> numbers(kFirst, 0);
  const std::string stat = read_proc(tgid, "stat").value_or("");
  for (std::string_view field : stat_fields(stat))
    numbers.push_back(std::strtoull(std::string(field).c_str(), nullptr, 10));
  numbers.resize(std::max(numbers.size(), kCount), 0);
  return numbers;
}

u32 number_in(pid_t tid, const char* file) {
  const auto text = read_proc(tid, file);
  return text ? static_cast<u32>(std::strtoul(text->c_str(), nullptr, 10)) : kNobody;
}

struct Namespace {
  const char *file, *structure, *member;  // in /proc/PID/ns; and which of nsproxy points to it
};
constexpr Namespace kNamespaces[] = {
    {"mnt", "mnt_namespace", "mnt_ns"}, {"pid", "pid_namespace", "pid_ns_for_children"},
    {"uts", "uts_namespace", "uts_ns"}, {"ipc", "ipc_namespace", "ipc_ns"},
    {"net", "net", "net_ns"},           {"cgroup", "cgroup_namespace", "cgroup_ns"},
};

// One object for all tasks that are in it.
KernelObject namespace_object(ObjectSpace& space, const char* structure, u32 inum) {
  const KernelObject object = space.object(space.structure(structure), fmt::format("{}", inum));
  object.set("ns.inum", inum);
  return object;
}

}  // namespace

const TaskObjects::Member TaskObjects::kMembers[] = {
    {"files", Extra::kFiles},   {"fs", Extra::kFolders},    {"utime", Extra::kTimes},
    {"stime", Extra::kTimes},   {"nvcsw", Extra::kTimes},   {"nivcsw", Extra::kTimes},
    {"min_flt", Extra::kTimes}, {"maj_flt", Extra::kTimes}, {"se.sum_exec_runtime", Extra::kTimes},
    {"se.cfs_rq", Extra::kRunQueue},
};

// Whatever reaches a member adds its offset to a pointer, or loads at it, or keeps it in a register: it is in an
// instruction. That another number is taken for one costs time alone.
void TaskObjects::named_by(std::span<const bpf_insn> program) {
  const KernelStruct& task = space_.structure("task_struct");
  for (const Member& member : kMembers) {
    const size_t extra = static_cast<size_t>(member.extra);
    const auto offset = named_[extra] ? std::nullopt : task.offset(member.path);
    if (offset && std::ranges::any_of(program, [&](const bpf_insn& insn) {
          return insn.off == static_cast<s64>(*offset) || insn.imm == static_cast<s64>(*offset);
        }))
      named_.set(extra);
  }
}

u64 TaskObjects::task_struct(const TaskFacts& facts) {
  while (blocks_.size() >= kMostBlocks) drop(blocks_.begin());
  Block* block = block_of(facts);
  if (!block) return 0;
  if (named_[static_cast<size_t>(Extra::kFiles)]) show_files(*block, facts);
  if (named_[static_cast<size_t>(Extra::kFolders)]) show_folders(*block, facts);
  if (named_[static_cast<size_t>(Extra::kTimes)]) show_times(*block, facts);
  if (named_[static_cast<size_t>(Extra::kRunQueue)]) show_run_queue(*block, facts);
  return block->task.address();
}

std::optional<TaskObjects::Known> TaskObjects::task_at(u64 address) {
  const KernelStruct& type = space_.structure("task_struct");
  const auto pid = type.offset("pid"), tgid = type.offset("tgid");
  if (!pid || !tgid) return std::nullopt;
  if (!space_.holds(address, type.size())) return std::nullopt;
  const auto* task = reinterpret_cast<const u8*>(address);
  // The address is one that a program was given; that a task is there says the block that has it.
  const auto block = blocks_.find(load<pid_t>(task + *pid));
  if (block == blocks_.end() || block->second.task.address() != address) return std::nullopt;
  const auto mm = type.offset("mm");
  return Known{load<pid_t>(task + *pid), load<pid_t>(task + *tgid), mm ? load<u64>(task + *mm) : 0,
               block->second.ended};
}

u64 TaskObjects::show_registers(u64 address, const PtRegs& regs) {
  const u64 at = space_.bytes(fmt::format("pt_regs of {:x}", address), sizeof regs);
  if (at) store(reinterpret_cast<void*>(at), regs);
  return at;
}

void TaskObjects::drop(std::map<pid_t, Block>::iterator at) {
  const std::string identity = fmt::format("{} {}", at->first, at->second.start_boottime_ns);
  for (const char* type : {"task_struct", "cred", "nsproxy", "pid", "signal_struct"})
    space_.forget(space_.structure(type), identity);
  space_.forget_all(space_.structure("mm_struct"), identity + " ");
  // What the process had open, if the thread was its first.
  const std::string process = fmt::format("{}", at->first);
  for (const char* type : {"files_struct", "fs_struct"}) space_.forget(space_.structure(type), process);
  space_.forget_all(space_.structure("file"), process + " ");
  space_.forget_bytes("fd " + process);
  blocks_.erase(at);
}

void TaskObjects::forget(pid_t tid) {
  const auto known = blocks_.find(tid);
  if (known == blocks_.end() || known->second.ended) return;
  known->second.ended = true;
  ended_.push_back(tid);
  if (ended_.size() <= kMostEnded) return;
  const auto first = blocks_.find(ended_.front());
  ended_.pop_front();
  if (first != blocks_.end() && first->second.ended) drop(first);
}

TaskObjects::Block* TaskObjects::block_of(const TaskFacts& facts) {
  auto known = blocks_.find(facts.tid);
  if (known != blocks_.end() && known->second.start_boottime_ns != facts.start_boottime_ns) {
    drop(known);  // the number is another thread's now
    known = blocks_.end();
  }
  if (known == blocks_.end()) {
    const std::string identity = fmt::format("{} {}", facts.tid, facts.start_boottime_ns);
    Block block;
    for (auto [member, type] : {std::pair{&Block::task, "task_struct"},
                                {&Block::cred, "cred"},
                                {&Block::pid, "pid"},
                                {&Block::nsproxy, "nsproxy"},
                                {&Block::signal, "signal_struct"}})
      block.*member = space_.object(space_.structure(type), identity);
    if (!block.task) return nullptr;
    block.start_boottime_ns = facts.start_boottime_ns;
    known = blocks_.emplace(facts.tid, std::move(block)).first;
    fill(known->second, facts);
  } else if (known->second.ended) {
    std::erase(ended_, facts.tid);
    known->second.ended = false;
    ++known->second.programs;
    fill(known->second, facts);
  }
  refresh(known->second, facts);
  return &known->second;
}

// A process's leader that the one asked about is related to. Null beyond the last that is followed.
TaskObjects::Block* TaskObjects::relative(pid_t tgid) {
  if (tgid <= 0 || depth_ >= kMaxParents) return nullptr;
  ++depth_;
  Result<TaskFacts> facts = facts_of_ ? facts_of_(tgid) : fail(ESRCH);
  TaskFacts outside;  // of a process that is not supervised the numbers are all that is known
  outside.tid = outside.tgid = tgid;
  Block* block = block_of(facts ? *facts : outside);
  --depth_;
  return block;
}

// What stays as long as the thread runs its program.
void TaskObjects::fill(Block& block, const TaskFacts& facts) {
  const KernelObject& task = block.task;
  fill_memory(block, facts);
  fill_namespaces(block, facts);
  task.set("signal", block.signal.address());
  task.set("cred", block.cred.address());
  task.set("real_cred", block.cred.address());
  task.set("group_leader", task.address());
  const bool leads = facts.tid == facts.tgid;
  task.set("exit_signal", leads ? s32{17} : s32{-1});
  task.set("loginuid", number_in(facts.tid, "loginuid"));
  task.set("sessionid", number_in(facts.tid, "sessionid"));
  block.parent = -1;
}

void TaskObjects::fill_memory(Block& block, const TaskFacts& facts) {
  const std::vector<u64> stat = stat_numbers(facts.tgid);
  block.task.set("flags", static_cast<u32>(stat[9]) & kLastingFlags);
  if (facts.tid != facts.tgid) return;  // it has its leader's memory
  block.mm = space_.object(space_.structure("mm_struct"),
                           fmt::format("{} {} {}", facts.tid, facts.start_boottime_ns, block.programs));
  const KernelObject& mm = block.mm;
  block.task.set("mm", mm.address());
  block.task.set("active_mm", mm.address());
  mm.set("owner", block.task.address());
  // proc(5)
  mm.set("start_code", stat[26]);
  mm.set("end_code", stat[27]);
  mm.set("start_stack", stat[28]);
  mm.set("start_data", stat[45]);
  mm.set("end_data", stat[46]);
  mm.set("start_brk", stat[47]);
  mm.set("arg_start", stat[48]);
  mm.set("arg_end", stat[49]);
  mm.set("env_start", stat[50]);
  mm.set("env_end", stat[51]);
  if (auto exe = mounts_.describe_link(facts.tgid, "exe")) {
    exe->tgid = facts.tgid;
    exe->readable = true;
    mm.set("exe_file", files_.file(*exe).address());
  }
}

void TaskObjects::fill_namespaces(Block& block, const TaskFacts& facts) {
  u64 pid_namespace = 0;
  for (const Namespace& known : kNamespaces) {
    const u64 object = namespace_object(space_, known.structure, namespace_of(facts.tgid, known.file)).address();
    block.nsproxy.set(known.member, object);
    if (std::string_view(known.file) == "pid") pid_namespace = object;
  }
  block.task.set("nsproxy", block.nsproxy.address());
  block.cred.set("user_ns", namespace_object(space_, "user_namespace", namespace_of(facts.tgid, "user")).address());

  // struct pid's numbers begin with the namespace that the tools see; that of a task within another one comes behind.
  block.task.set("thread_pid", block.pid.address());
  const KernelStruct& upid = space_.structure("upid");
  const u64 numbers = block.pid.address("numbers");
  if (!numbers || !upid.offset("ns")) return;
  const bool nested = facts.local_tid != 0 && facts.local_tid != facts.tid;
  block.pid.set("level", u32{nested});
  auto number = [&](u32 level, pid_t tid, u64 of) {
    const KernelObject at(numbers + level * upid.size(), upid);
    at.set("nr", s32{tid});
    at.set("ns", of);
  };
  number(0, facts.tid,
         nested ? namespace_object(space_, "pid_namespace", namespace_of(::getpid(), "pid")).address() : pid_namespace);
  if (nested) number(1, facts.local_tid, pid_namespace);
}

void TaskObjects::show_cgroup(Block& block, const TaskFacts& facts) {
  static const Cgroup kRoot(1, "", nullptr);
  const std::shared_ptr<Cgroup> known = cgroup_of ? cgroup_of(facts.tid) : nullptr;
  const Cgroup& current = known ? *known : kRoot;
  if (std::exchange(block.cgroup, current.id()) == current.id()) return;
  const KernelObject set = space_.object(space_.structure("css_set"), fmt::format("{}", current.id()));
  set.set("dfl_cgrp", cgroup_object(space_, current).address());
  block.task.set("cgroups", set.address());
}

// What may be different at each event.
void TaskObjects::refresh(Block& block, const TaskFacts& facts) {
  const KernelObject& task = block.task;
  show_cgroup(block, facts);
  task.set("pid", s32{facts.tid});
  task.set("tgid", s32{facts.tgid});
  if (const u64 comm = task.address("comm")) std::memcpy(reinterpret_cast<void*>(comm), facts.comm, sizeof facts.comm);
  task.set("__state", u32{0});  // it runs
  task.set("on_cpu", s32{1});
  task.set("thread_info.cpu", facts.cpu);
  task.set("recent_used_cpu", static_cast<s32>(facts.cpu));
  for (const char* member : {"prio", "static_prio", "normal_prio"}) task.set(member, static_cast<s32>(facts.priority));
  task.set("exit_code", s32{facts.exit_code});
  task.set("start_time", facts.start_time_ns);
  task.set("start_boottime", facts.start_boottime_ns);
  for (const char* member : {"uid", "suid"}) block.cred.set(member, facts.uid);
  for (const char* member : {"euid", "fsuid"}) block.cred.set(member, facts.euid);
  for (const char* member : {"gid", "sgid", "egid", "fsgid"}) block.cred.set(member, facts.gid);
  for (const char* member : {"cap_effective", "cap_permitted"}) block.cred.set(member, facts.capabilities);
  if (block.parent != facts.parent_tgid || !blocks_.contains(facts.parent_tgid)) link(block, facts);
}

// Relatives are found anew only when they change: finding them costs system calls.
void TaskObjects::link(Block& block, const TaskFacts& facts) {
  block.parent = facts.parent_tgid;
  const Block* parent = relative(facts.parent_tgid);
  // The end of the line is its own parent, like init_task.
  const u64 parent_task = parent ? parent->task.address() : block.task.address();
  block.task.set("real_parent", parent_task);
  block.task.set("parent", parent_task);
  const Block* leader = facts.tid != facts.tgid ? relative(facts.tgid) : nullptr;
  if (!leader) return;
  block.task.set("group_leader", leader->task.address());
  // Threads of a process share its memory and signals.
  block.task.set("mm", leader->mm.address());
  block.task.set("active_mm", leader->mm.address());
  block.task.set("signal", leader->signal.address());
}

}  // namespace bpfemu
