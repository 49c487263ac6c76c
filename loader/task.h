// SPDX-License-Identifier: Apache-2.0
// A traced thread: its registers and memory at a stop, and system calls run in its name.
//
// A remote call displaces the thread from the stop it was at. regs() stays the program's view all along; resume() and
// rewind_to_call() bring the thread back to it. Any step may find the thread dead: ESRCH, and the stop that said so
// goes to the tracer's queue.
#pragma once

#include <signal.h>
#include <sys/user.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "emu/ports/host.h"
#include "loader/cpu_pin.h"
#include "loader/event.h"
#include "loader/filter.h"
#include "loader/page_maps.h"
#include "loader/process.h"
#include "loader/traps.h"

namespace bpfemu {

class TracedTask;

// What all threads of one run have in common.
struct TaskEnv {
  TraceOs& os;
  TrapHandler& traps;
  Secret secret = {};
  int listener = -1;                // seccomp listener for install_fd, -1: none to be had
  std::deque<StopEvent> postponed;  // stops that arrived while we waited for another
  int memory_ready = -1;            // eventfd of the memory workers
  // Sleeps on behalf of `task` until done(); true: it was not, and the thread is gone (LongCalls::sleep).
  std::function<bool(const TracedTask& task, const std::function<bool()>& done)> sleep;
  // What processes decide by themselves changes with what is done: told before anybody goes on.
  std::function<void()> publish = [] {};
  PageMaps page_maps = {};
};

class TracedTask final : public Task {
 public:
  enum class At : u8 {
    kRunning,
    kSeccomp,  // before a call
    kSyscallExit,
    kSignal,  // a remote call here loses the signal: only for those that are ours
    kTrap,    // PTRACE_EVENT_STOP
    kExec,
    kInside,  // in the middle of a call: fork events
    kExiting,
  };

  TracedTask(TaskEnv& env, pid_t tid, std::shared_ptr<Process> process);
  ~TracedTask() override;

  pid_t tid() const override { return tid_; }
  pid_t tgid() const override { return process_->tgid; }
  u64 memory_id() const override { return exit_reported ? 0 : process_->memory->id; }
  Result<void> read(u64 address, void* to, size_t size) override;
  Result<void> write(u64 address, const void* from, size_t size) override;
  Result<std::string> read_string(u64 address, size_t limit) override;
  PtRegs& regs() override;
  long call_number() override;
  bool entry_seen() const override { return !unseen_entry; }
  Result<u64> call(long number, std::array<u64, 6> args) override;
  Result<void> peek(u64 address, void* to, size_t size) override;
  Result<void> poke(u64 address, const void* from, size_t size) override;
  Result<int> install_fd(int fd, bool cloexec) override;
  Result<u64> map_file(int fd, std::span<const FilePiece> pieces) override;
  Result<FileId> file_id(int fd) override;
  Result<int> reopen_fd(int fd, int flags) override;
  Result<int> share_fd(int fd) override;
  Result<u64> scratch(size_t size) override;

  // Writes through any protection, also while the thread runs; a private page is copied, a shared one gives EIO.
  Result<void> force(u64 address, const void* from, size_t size);
  // The same, of a word within one page, of a thread that stands at a stop: it takes one system call.
  Result<void> force_word(u64 address, u64 word);

  At at() const { return at_; }
  // Was it in the middle of deciding a call by itself? regs() say that it is at the call.
  bool was_deciding() { return side() == StubSide::kBefore; }
  // Of its call, while it stands in code of ours.
  StubSide side() { return regs(), side_; }
  // Does it stand at the image's last call, by which it was taken out? regs() say that it is behind its own.
  bool has_parted();
  // The thread is new: what the image knows its parent by is not its own.
  void be_nobody_inside();
  // While it runs programs by itself (StubSide::kRunning): its registers as its program has them, for whoever is called.
  void as_program(const std::function<void()>& call);
  bool displaced() const { return displaced_; }
  Process& process() { return *process_; }
  const Process& process() const { return *process_; }
  const std::shared_ptr<Process>& shared_process() const { return process_; }
  // exec: a new address space, of a 32-bit program or not.
  void executed(std::shared_ptr<Memory> memory);
  Memory& memory() { return *process_->memory; }
  const Memory& memory() const { return *process_->memory; }

  // The thread reported a stop: what was known of its registers is void.
  void stopped(At at);
  // It died under our hands: nothing of what was begun with it can be brought to its end.
  void gone();
  // Lets it go on: PTRACE_CONT, PTRACE_SYSCALL or PTRACE_SINGLESTEP with a signal to deliver, or PTRACE_LISTEN.
  Result<void> resume(int request, int signal = 0);
  // After a remote call at a seccomp stop: brings the thread back before its own call.
  Result<void> rewind_to_call();
  // It is in the middle of a remote call that takes long: its next status belongs to that.
  bool awaiting() const { return awaiting_; }
  void deliver(Waited status) { status_ = status, awaiting_ = false; }
  Result<siginfo_t> signal_info();
  Result<void> set_signal_info(const siginfo_t& info);
  Result<u64> signal_mask();
  Result<void> set_signal_mask(u64 mask);
  // The same, for the program: what it has once the thread is resumed.
  Result<void> set_program_mask(u64 mask);
  // While a remote call has all signals blocked: what the program has blocked.
  std::optional<u64> program_mask() const { return saved_mask_; }
  Result<u64> event_message();
  // What its debug registers watch, until it runs another program.
  Result<void> watch(const Watches& watches);
  // Which of them, a bit for each, have seen something since this was asked last.
  Result<u32> take_watched();
  Result<void> interrupt();
  // How often we have made it stand still: each was a context switch.
  u64 stops() const { return stops_; }
  // The CPU that its rseq area shows. ENODATA: it registered none.
  Result<u32> rseq_cpu();

  // The program's registers again say what they said when its call was interrupted (see rewound).
  struct Interrupted {
    u64 rip, rax, orig_rax;
  };
  // Makes the interrupted call run again: rip before it, the number in rax. Set while that has not happened yet.
  void restart_call(u64 number);
  void take_seat(int signal);
  // Where the thread makes its call at `call` without deciding.
  u64 asks(u64 call);
  bool restarting() { return rewound_ && regs().rip == rewound_->rip - 2; }
  void undo_restart();
  // At the stop before the call that was restarted: true once, if this is it.
  bool reentered();

  // Kept by the tracer.
  SyscallSet traced;            // calls that this thread's filters stop
  SyscallSet traced_at_resume;  // as it was then: what a process that it forks since has inherited
  TaskFacts facts;
  bool facts_fresh = false;
  u64 born_ns = 0;  // CLOCK_MONOTONIC when it was made, 0: before our time

  struct Pending {  // the call that the thread is in, when its exit matters to us
    long number = 0;
    std::array<u64, 6> args = {};  // as the program gave them
    bool handled = false;          // its exit handler wants to see the result
    bool maps_text = false;        // a mapping that breakpoints want to see
    bool restore_args = false;     // registers were changed for the call
    bool shortened = false;        // its timeout, because part of it was over when it was restarted
    u64 done = 0;                  // bytes that it had moved when it was restarted
    bool as_clone = false;         // clone3: the kernel is given clone() instead
    u64 clone_copy = 0;            // clone3: where the arguments lie that it was given instead
    bool shares_memory = false;    // and its CLONE_VM
    u64 filter = 0;                // seccomp: where the program that it was given instead lies
    bool shows_cpus = false;       // no thread is pinned before it is over
  };
  struct HeldSignal {
    siginfo_t info;
    u64 mask;  // the program's, while all but faults are blocked
  };
  std::optional<HeldSignal> held;  // see held_signal.h
  struct Delivery {
    siginfo_t info;
    PtRegs regs;  // where the signal takes it away
  };
  std::optional<Delivery> delivery;  // it is on its way to the handler, and will stop there
  bool end_delivered = false;        // so was the signal that ends it
  std::optional<Pending> pending;
  std::optional<Pending> restartable;  // it returned ERESTART_RESTARTBLOCK: restart_syscall continues it
  bool in_vfork = false;               // suspended until its vfork child is done
  bool group_stopped = false;          // listening: only SIGCONT or an interrupt brings it out
  bool interrupted = false;            // by us, and no stop has come yet
  bool was_interrupted = false;        // before the stop that it is at
  std::vector<std::function<void(Task&)>> at_stop;  // to be called at its next stop
  u64 asleep_ns = 0;                   // how long it had slept when we interrupted it
  bool silent_entry = false;           // the call that we restarted has still to stop: probes saw its entry, or not
  bool unseen_entry = false;           // the call that it is in began before anybody wanted to see its end
  bool entry_stop = false;             // the next syscall stop is an entry stop, of a call that we restarted
  u32 fork_restarts = 0;               // how often signals made its fork start over since the last that succeeded
  bool shows_cpus = false;             // somebody may read its mask at any time
  std::shared_ptr<const OwnCpus> own_cpus;  // it was pinned once, or made by one that was (see cpu_follower.h)
  std::optional<u64> fork_mask;        // what the program has blocked, while we block more for such a fork
  bool exit_reported = false;
  bool starting = false;  // created, and not at its first stop yet

 private:
  using Machine = user_regs_struct;

  Result<void> access(u64 address, void* bytes, size_t size, Access kind);
  Result<void> set_debug_register(size_t number, u64 value);
  Result<void> require_resident(u64 address, size_t size, Access kind);
  Result<void> wait_for_page(u64 address, void* bytes, size_t size, Access kind);
  bool borrow_dumpable();
  void return_dumpable();
  Result<pid_t> make_helper();
  void end_helper();
  Result<Waited> await_status();
  Result<void> put(const Machine& machine);
  Result<StopEvent> step(int request);
  Result<StopEvent> await();
  Result<std::optional<StopEvent>> sort(Waited waited);
  Result<Waited> next_status();
  Result<void> begin_call(long number, const std::array<u64, 6>& args);
  Result<u64> finish_call();
  Result<u64> syscall_instruction();
  Result<void> block_signals();
  Result<int> notify_fd(int fd, bool cloexec);
  Result<u64> await_notification();
  Result<int> open_fd(int fd, bool cloexec);

  TaskEnv& env_;
  pid_t tid_;
  std::shared_ptr<Process> process_;
  At at_ = At::kRunning;
  u64 stops_ = 0;
  bool regs_known_ = false;
  StubSide side_ = StubSide::kOutside;
  bool displaced_ = false;
  bool interrupt_again_ = false;  // a group stop was passed over by a remote call
  bool borrowed_dumpable_ = false;  // while it stands: the program is one that nobody may look into
  bool awaiting_ = false;
  bool makes_helper_ = false;
  bool may_wait_ = false;  // the remote call that runs now: others go on meanwhile
  pid_t helper_ = 0;                // the thread that it made for us, as its status told
  std::optional<Waited> status_;
  std::optional<u64> saved_mask_;
  std::optional<Interrupted> rewound_;
  u64 scratch_page_ = 0;
  std::optional<u64> rseq_;      // address of its rseq area, 0: none
  std::optional<u32> rseq_cpu_;  // what it said at this stop
  union {
    Machine machine_;
    PtRegs regs_;
  };
  Machine known_ = {};  // what the kernel has
};

}  // namespace bpfemu
