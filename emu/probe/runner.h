// SPDX-License-Identifier: Apache-2.0
// Running a program for a task: a vCPU, the task's identity, and the services that helpers need from outside.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "emu/arena/arena.h"
#include "emu/base/fd.h"
#include "emu/base/log.h"
#include "emu/bpf/program.h"
#include "emu/kernel/symbols.h"
#include "emu/kernel/trace_log.h"
#include "emu/ports/host.h"
#include "emu/ports/task.h"
#include "emu/runtime/run.h"

namespace bpfemu {

class BpfTimers;
class Cgroup;
class RunScope;
struct PerfEventState;

// Where running programs reach out to.
struct Outlets {
  std::function<void(const void* ring)> wake;                // who polls a struct Map or struct PerfRing
  TraceLog* trace = nullptr;                                 // bpf_trace_printk's lines
  std::function<u64(const TaskFacts&)> task_struct;          // arena address of the task's task_struct, 0: none
  std::function<std::shared_ptr<Cgroup>(pid_t)> cgroup_of;   // that the thread is in
  std::function<u64(u64 cgroup, u32 level)> cgroup_above;    // id of its ancestor at a level, 0: there is none
  std::function<u64(u64 sock)> sock_cookie;                  // of a struct sock in the arena, 0: there is no such socket
  std::function<s64(u64 sock, u32 level, u32 option, const void* value, u32 size)> set_sock_option;
  std::function<s64(u64 sock, u32 level, u32 option, void* value, u32 size)> get_sock_option;
  std::function<u64()> test_object;                          // arena address of prog_test_struct, 0: none
  std::function<bool(RunSock&)> show_sock;                   // fills in RunSock::object
  std::function<void(pid_t)> task_gone;                      // the thread ended or runs another program
  std::function<std::optional<SymbolPlace>(u64)> symbol_at;  // the kernel function or object that an address lies in
  std::function<void(u64 address, u64 size)> object_read;       // a helper reads that of the arena
  std::function<u64(u64 address, u64 size)> at_kernel_address;  // where the arena holds the kernel's data, 0: nowhere
  std::function<Result<std::string>(u64 path)> path_text;    // d_path of a struct path in the arena
  // As Env::show_type; `read` copies so many bytes of the object.
  using ReadObject = std::function<bool(void* to, u64 size)>;
  std::function<Result<std::string>(u32 type, u64 flags, const ReadObject& read)> show_type;
  std::function<u64(const Run&)> shown_context;  // of the program that runs, as the kernel's functions have it
  std::function<u64(u64)> kernel_address;                    // where kallsyms shows program code that lies in the arena
  std::function<u64(const std::string& name)> symbol;        // kallsyms_lookup_name, 0: there is none
  std::function<pid_t(u64 task)> thread_at;                  // whose task_struct is there, 0: nobody's
  std::function<void(u64 cgroup, u32 cpu)> cgroup_updated;   // Env::cgroup_updated
  std::function<void(Run& run, u64 cgroup)> cgroup_flush;
  std::function<bool(u64 task)> task_ended;                  // Env::task_ended
  std::function<u64(u64 task, u64 address)> find_vma;        // arena address of the vm_area_struct, 0: none
  std::function<u64(u64 task, const PtRegs&)> task_regs;     // arena address of the task's pt_regs, 0: no memory
  // What a perf event that has `state` counted; kernel errno values as of perf_event_read_local.
  std::function<s64(const PerfEventState& state, pid_t tid, u32 cpu, u64* to)> read_perf_event;
  std::function<void(u64 bprm, bool secure)> set_secure;     // a struct linux_binprm
  std::function<Result<std::array<u8, kFileHash>>(Task& task, u64 file)> file_hash;
  std::function<u64(Task& task, s32 serial, u64 flags)> user_key;  // struct bpf_key, 0: no such key
  std::function<u64(u64 id)> system_key;
  std::function<void(u64 key)> put_key;
  std::function<u64(u64 object)> packet_of;  // Env::packet_of
  // Functions that running programs pass, and which of them (by RuntimeFunction) somebody has begun to listen to.
  std::function<u64(RunScope& within, const RuntimeCall& call)> function_entered;
  std::function<void(RunScope& within, const RuntimeCall& call, u64 result)> function_left;
  std::function<void(const u8* listened)> functions_listened;
  std::function<u64(u64 symbol, u32 cpu)> per_cpu;           // a CPU's copy of a per-CPU variable, 0: unknown
};

// What of the task a program looks at. Finding these costs system calls, so only who asks pays.
struct ProgramNeeds {
  bool cpu = false;  // the real CPU: per-CPU maps, bpf_get_smp_processor_id, perf buffers
  bool comm = false;
  bool user = false;  // uid and gid
  bool cgroup = false;

  void add(const ProgramNeeds& other) {
    cpu |= other.cpu, comm |= other.comm, user |= other.user, cgroup |= other.cgroup;
  }
  static ProgramNeeds everything() { return {true, true, true, true}; }
};

// Read off the instructions; a program with tail calls may need everything.
ProgramNeeds needs_of(const Program& program);

class Point;
struct Event;

// What outlives a single run: the vCPUs, and what is known about tasks.
class Runner {
 public:
  Runner(Arena& arena, Host& host, Unmodelled& unmodelled, Outlets outlets);
  ~Runner();

  Arena& arena() { return arena_; }
  TraceLog* trace_log() { return outlets_.trace; }  // null: there is none
  // The thread is gone, or is another program now.
  void forget(pid_t tid) {
    known_.erase(tid);
    if (outlets_.task_gone) outlets_.task_gone(tid);
  }
  // Arena address of a thread's task_struct, 0 when it is gone.
  u64 task_struct(pid_t tid);
  u64 task_struct_of(const TaskFacts& facts);
  // A name that programs see in the place of the thread's own; none: no longer.
  void show_name(pid_t tid, const std::optional<std::string>& name);
  // The cgroup of a thread; null: nobody knows of cgroups.
  std::shared_ptr<Cgroup> cgroup_of(pid_t tid) const { return outlets_.cgroup_of ? outlets_.cgroup_of(tid) : nullptr; }
  u64 cgroup_id(pid_t tid) const;  // the root's, 1, then

  // Who wants runs to be counted and timed: the sysctl kernel.bpf_stats_enabled, descriptors of BPF_ENABLE_STATS.
  u32 stats_users = 0;

  BpfTimers* timers = nullptr;  // who keeps the time for programs
  const u8* listened = nullptr;  // Run::listened
  const TreeSocketServices* sockets = nullptr;

 private:
  friend class RunScope;
  friend struct RunScopeEnv;
  struct Known {
    RunTask task{};
    u64 start_boottime_ns = 0;
    UniqueFd comm;  // /proc/TID/comm, kept open: prctl, exec and writes by others all show there
  };
  Known* know(Task& task, const ProgramNeeds& needs);
  // How far the clock is ahead of CLOCK_MONOTONIC: the same each time, until it is set or the machine has slept.
  u64 ahead(int clock_id);

  Arena& arena_;
  Host& host_;
  Unmodelled& unmodelled_;
  Outlets outlets_;
  Extent contexts_;  // kContextSize bytes for each vCPU
  std::unordered_map<pid_t, Known> known_;
  std::unordered_map<pid_t, std::string> shown_names_;
  std::unordered_map<int, u64> ahead_;
  u64 pid_namespace_dev_ = 0, pid_namespace_ino_ = 0;
};

// One vCPU held on behalf of a task, from an event until its programs have run.
class RunScope {
 public:
  // `task` null: the idle task of `cpu`. `cpu` < 0: the one that the task runs on.
  // `outer`: its programs listen to what that passes, on the same CPU.
  RunScope(Runner& runner, Task* task, PtRegs* regs, const ProgramNeeds& needs, int cpu = -1, const Run* outer = nullptr);
  ~RunScope();
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;

  // No: the task is gone, or every vCPU is busy.
  explicit operator bool() const { return run_.cpu != nullptr; }
  Run& run() { return run_; }
  Task* task() const { return task_; }
  Runner& runner() { return runner_; }
  // The event is the hit of a uprobe: user stacks start as they do there.
  void set_at_site(bool at_site) { at_site_ = at_site; }
  bool at_site() const { return at_site_; }
  // The event was at `time` (CLOCK_MONOTONIC): to its programs it is then.
  void set_happened(u64 time) { happened_ = time; }
  // A syscall program runs, which may make calls of its own.
  void set_syscalls(const SyscallServices* syscalls) { env_.syscalls = syscalls; }
  // Where the program may look sockets up.
  void set_socket_lookup(const SocketLookupServices* lookup) { env_.lookup = lookup; }
  // A program of a cgroup runs, for a call of the task's.
  void set_socket_call(const SocketServices* socket) { env_.socket = socket; }
  // The program runs for this perf event.
  void set_perf_event(const PerfEventState& state) { perf_event_ = &state; }
  // A clock's interrupt runs the program.
  void set_in_interrupt() { in_interrupt_ = true; }
  // Between two programs: gives the vCPU away while `meanwhile` runs; the next one may be another.
  void lend(const std::function<void()>& meanwhile);
  // In the middle of a program: others may go on.
  void breathe();
  // Which event it is, for the kernel's stack; without, the task is in user mode. The event must outlive the scope, the
  // point is one of `points` for as long as it exists: it may go while a program of it stands aside.
  void at(const Point& point, const Event& event, const std::set<const Point*>& points) {
    point_ = &point, event_ = &event, points_ = &points;
  }
  // kContextSize bytes of arena to lay a context out in, the vCPU's own.
  void* context_memory();
  // Does the kernel run the program here, or is it in the midst of one that keeps it from that (kernel: bpf_prog_active,
  // prog->active)?
  bool admits(const Program& program) const;
  // R0 of the program.
  u64 call(const Program& program, void* context, u64 cookie = 0, u64 func_ip = 0);
  // A function of the program, which nobody calls but the kernel.
  u64 call_back(const Program& program, u64 (*callback)(u64, u64, u64, u64, u64, Run*), u64 r1, u64 r2, u64 r3);

 private:
  friend struct RunScopeEnv;
  void enter_grace();
  void leave_grace();
  Vcpu* await_cpu(u32 wanted, u32 holder);
  Vcpu* take_cpu(const ProgramNeeds& needs, int cpu, const Run* outer);
  Runner& runner_;
  Task* task_;
  bool at_site_ = false, in_interrupt_ = false;
  u64 happened_ = 0;  // 0: now
  const PerfEventState* perf_event_ = nullptr;
  bool in_grace_ = false;  // what its program may use stays while it stands aside
  Env env_;
  RunTask idle_{};
  const Point* point_ = nullptr;
  const std::set<const Point*>* points_ = nullptr;
  const Event* event_ = nullptr;
  bool subprograms_ = false;  // the program that runs has some
  Run run_{};
};

}  // namespace bpfemu
