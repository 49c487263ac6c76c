// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/objects.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/base/proc_files.h"

namespace bpfemu {

// The objects of one thread lie one behind the other in one piece of arena.
enum class KernelObjects::Part : u8 {
  kTask,
  kMm,
  kSignal,
  kCred,
  kNsproxy,
  kPid,
  kCssSet,
  kCgroup,
  kKernfs,
  kMntNs,
  kPidNs,
  kUtsNs,
  kIpcNs,
  kNetNs,
  kCgroupNs,
  kUserNs,
  kCount
};

enum class KernelObjects::Field : u8 {
#define FIELD(name, structure, path) name,
#include "emu/abi/task_fields.inc"
#undef FIELD
};

struct KernelObjects::Block {
  Extent extent;
  u64 start_boottime_ns = 0;
  pid_t parent = -1;  // the tgid of the one that real_parent leads to
};

namespace {

constexpr const char* kPartStructs[] = {"task_struct",   "mm_struct",     "signal_struct",    "cred",
                                        "nsproxy",       "pid",           "css_set",          "cgroup",
                                        "kernfs_node",   "mnt_namespace", "pid_namespace",    "uts_namespace",
                                        "ipc_namespace", "net",           "cgroup_namespace", "user_namespace"};
struct FieldName {
  const char *structure, *path;
};
constexpr FieldName kFieldNames[] = {
#define FIELD(name, structure, path) {structure, path},
#include "emu/abi/task_fields.inc"
#undef FIELD
};

constexpr u32 kSpare = 64;             // behind each object: its flexible array, and a cache line of distance
constexpr u32 kMaxParents = 4;         // how far real_parent is followed
constexpr size_t kMostBlocks = 16384;  // threads whose end nobody reported are forgotten beyond

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
  for (std::string_view field : stat_fields(stat)) numbers.push_back(std::strtoull(std::string(field).c_str(), nullptr, 10));
  numbers.resize(std::max(numbers.size(), kCount), 0);
  return numbers;
}

}  // namespace

KernelObjects::KernelObjects(Arena& arena, std::shared_ptr<const Btf> vmlinux, FactsOf facts_of)
    : arena_(arena), btf_(std::move(vmlinux)), facts_of_(std::move(facts_of)) {
  static_assert(std::size(kPartStructs) == static_cast<size_t>(Part::kCount));
}

KernelObjects::~KernelObjects() {
  for (const auto& [tid, block] : blocks_) arena_.release(block->extent);
}

// A struct that this kernel does not have takes no room; its fields are missing too.
void KernelObjects::lay_out() {
  for (const char* structure : kPartStructs) {
    part_offsets_.push_back(block_size_);
    auto id = btf_->find(structure, BTF_KIND_STRUCT);
    u32 size = id ? btf_->size_of(*id).value_or(0) : 0;
    block_size_ += static_cast<u32>(round_up(size + kSpare, kSpare));
  }
  for (const FieldName& field : kFieldNames) {
    auto offset = btf_->offset_of(field.structure, field.path);
    field_offsets_.push_back(offset ? std::optional<u32>(*offset) : std::nullopt);
  }
}

u64 KernelObjects::address(const Block& block, Part part) const {
  return block.extent.address + part_offsets_[static_cast<size_t>(part)];
}

template <class T>
void KernelObjects::set(const Block& block, Part part, Field field, T value) {
  auto offset = field_offsets_[static_cast<size_t>(field)];
  if (offset) store(reinterpret_cast<void*>(address(block, part) + *offset), value);
}

u64 KernelObjects::task_struct(const TaskFacts& facts) {
  if (!btf_) return 0;
  if (part_offsets_.empty()) lay_out();
  while (blocks_.size() >= kMostBlocks) forget(blocks_.begin()->first);
  Block* block = block_of(facts);
  return block ? address(*block, Part::kTask) : 0;
}

void KernelObjects::forget(pid_t tid) {
  auto it = blocks_.find(tid);
  if (it == blocks_.end()) return;
  arena_.release(it->second->extent);
  blocks_.erase(it);
}

KernelObjects::Block* KernelObjects::block_of(const TaskFacts& facts) {
  auto it = blocks_.find(facts.tid);
  if (it != blocks_.end() && it->second->start_boottime_ns != facts.start_boottime_ns) {
    forget(facts.tid);  // the number is another thread's now
    it = blocks_.end();
  }
  if (it == blocks_.end()) {
    auto extent = arena_.allocate(block_size_);
    if (!extent) return nullptr;
    it = blocks_.emplace(facts.tid, std::make_unique<Block>(Block{*extent, facts.start_boottime_ns, -1})).first;
    fill(*it->second, facts);
  }
  refresh(*it->second, facts);
  return it->second.get();
}

// The task_struct of a relative of the one asked about, a process's leader. 0 beyond the last that is followed.
u64 KernelObjects::task_of(pid_t tgid) {
  if (tgid <= 0 || depth_ >= kMaxParents) return 0;
  ++depth_;
  Result<TaskFacts> facts = facts_of_ ? facts_of_(tgid) : fail(ESRCH);
  TaskFacts outside;  // of a process that is not supervised the numbers are all that is known
  outside.tid = outside.tgid = tgid;
  Block* block = block_of(facts ? *facts : outside);
  --depth_;
  return block ? address(*block, Part::kTask) : 0;
}

// What stays as long as the thread runs its program.
void KernelObjects::fill(Block& block, const TaskFacts& facts) {
  auto point = [&](Part from, Field field, Part to) { set(block, from, field, address(block, to)); };
  point(Part::kTask, Field::kMm, Part::kMm);
  point(Part::kTask, Field::kActiveMm, Part::kMm);
  point(Part::kTask, Field::kSignal, Part::kSignal);
  point(Part::kTask, Field::kCred, Part::kCred);
  point(Part::kTask, Field::kRealCred, Part::kCred);
  point(Part::kTask, Field::kNsproxy, Part::kNsproxy);
  point(Part::kTask, Field::kThreadPid, Part::kPid);
  point(Part::kTask, Field::kCgroups, Part::kCssSet);
  point(Part::kTask, Field::kGroupLeader, Part::kTask);
  point(Part::kMm, Field::kMmOwner, Part::kTask);
  point(Part::kCred, Field::kCredUserNs, Part::kUserNs);
  point(Part::kNsproxy, Field::kMntNs, Part::kMntNs);
  point(Part::kNsproxy, Field::kPidNs, Part::kPidNs);
  point(Part::kNsproxy, Field::kUtsNs, Part::kUtsNs);
  point(Part::kNsproxy, Field::kIpcNs, Part::kIpcNs);
  point(Part::kNsproxy, Field::kNetNs, Part::kNetNs);
  point(Part::kNsproxy, Field::kCgroupNs, Part::kCgroupNs);
  point(Part::kCssSet, Field::kDflCgroup, Part::kCgroup);
  point(Part::kCgroup, Field::kCgroupKn, Part::kKernfs);

  set(block, Part::kMntNs, Field::kMntNsInum, namespace_of(facts.tgid, "mnt"));
  set(block, Part::kPidNs, Field::kPidNsInum, namespace_of(facts.tgid, "pid"));
  set(block, Part::kUtsNs, Field::kUtsNsInum, namespace_of(facts.tgid, "uts"));
  set(block, Part::kIpcNs, Field::kIpcNsInum, namespace_of(facts.tgid, "ipc"));
  set(block, Part::kNetNs, Field::kNetNsInum, namespace_of(facts.tgid, "net"));
  set(block, Part::kCgroupNs, Field::kCgroupNsInum, namespace_of(facts.tgid, "cgroup"));
  set(block, Part::kUserNs, Field::kUserNsInum, namespace_of(facts.tgid, "user"));

  // proc(5): startcode 26, endcode 27, startstack 28, arg_start 48, arg_end 49, env_start 50, env_end 51.
  std::vector<u64> stat = stat_numbers(facts.tgid);
  set(block, Part::kMm, Field::kStartCode, stat[26]);
  set(block, Part::kMm, Field::kEndCode, stat[27]);
  set(block, Part::kMm, Field::kStartStack, stat[28]);
  set(block, Part::kMm, Field::kArgStart, stat[48]);
  set(block, Part::kMm, Field::kArgEnd, stat[49]);
  set(block, Part::kMm, Field::kEnvStart, stat[50]);
  set(block, Part::kMm, Field::kEnvEnd, stat[51]);
  bool leads = facts.tid == facts.tgid;
  set(block, Part::kTask, Field::kExitSignal, leads ? s32{17} : s32{-1});

  // struct pid's numbers begin with the namespace that the tools see.
  auto numbers = field_offsets_[static_cast<size_t>(Field::kPidNumbers)];
  auto nr = field_offsets_[static_cast<size_t>(Field::kUpidNr)],
       ns = field_offsets_[static_cast<size_t>(Field::kUpidNs)];
  if (numbers && nr && ns) {
    u64 upid = address(block, Part::kPid) + *numbers;
    store(reinterpret_cast<void*>(upid + *nr), s32{facts.tid});
    store(reinterpret_cast<void*>(upid + *ns), address(block, Part::kPidNs));
  }
}

// What may be different at each event.
void KernelObjects::refresh(Block& block, const TaskFacts& facts) {
  auto task = [&](Field field, auto value) { set(block, Part::kTask, field, value); };
  task(Field::kPid, s32{facts.tid});
  task(Field::kTgid, s32{facts.tgid});
  if (auto comm = field_offsets_[static_cast<size_t>(Field::kComm)]) {
    std::memcpy(reinterpret_cast<void*>(address(block, Part::kTask) + *comm), facts.comm, sizeof facts.comm);
  }
  task(Field::kState, u32{0});  // it runs
  task(Field::kOnCpu, s32{1});
  task(Field::kCpu, facts.cpu);
  task(Field::kRecentCpu, static_cast<s32>(facts.cpu));
  for (Field field : {Field::kPrio, Field::kStaticPrio, Field::kNormalPrio}) {
    task(field, static_cast<s32>(facts.priority));
  }
  task(Field::kExitCode, s32{facts.exit_code});
  task(Field::kStartTime, facts.start_time_ns);
  task(Field::kStartBoottime, facts.start_boottime_ns);
  for (Field field : {Field::kUid, Field::kSuid}) set(block, Part::kCred, field, facts.uid);
  for (Field field : {Field::kEuid, Field::kFsuid}) set(block, Part::kCred, field, facts.euid);
  for (Field field : {Field::kGid, Field::kSgid, Field::kEgid, Field::kFsgid})
    set(block, Part::kCred, field, facts.gid);
  set(block, Part::kKernfs, Field::kKnId, facts.cgroup_id);

  if (block.parent != facts.parent_tgid || !blocks_.contains(facts.parent_tgid)) link(block, facts);
}

// Relatives are found anew only when they change: finding them costs system calls.
void KernelObjects::link(Block& block, const TaskFacts& facts) {
  auto task = [&](Field field, u64 value) { set(block, Part::kTask, field, value); };
  block.parent = facts.parent_tgid;
  u64 parent = task_of(facts.parent_tgid);
  if (parent == 0) parent = address(block, Part::kTask);  // the end of the line is its own parent, like init_task
  task(Field::kRealParent, parent);
  task(Field::kParent, parent);
  u64 leader = facts.tid != facts.tgid ? task_of(facts.tgid) : 0;
  if (leader == 0) return;
  task(Field::kGroupLeader, leader);
  // Threads of a process share its memory and signals.
  auto of_leader = [&](Part part) { return leader + part_offsets_[static_cast<size_t>(part)]; };
  task(Field::kMm, of_leader(Part::kMm));
  task(Field::kActiveMm, of_leader(Part::kMm));
  task(Field::kSignal, of_leader(Part::kSignal));
}

}  // namespace bpfemu
