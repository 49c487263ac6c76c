// SPDX-License-Identifier: Apache-2.0
#include "loader/supervisor.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <array>
#include <cstdio>

#include "emu/syscalls/call.h"
#include "emu/syscalls/map_mmap.h"
#include "emu/syscalls/quiet_maps.h"
#include "emu/syscalls/quiet_paths.h"
#include "loader/breakpoints.h"
#include "loader/reserve.h"
#include "loader/root_way.h"

namespace bpfemu {

namespace {

// The kernel model as the tracer sees it.
class Kernel final : public CallHandler {
 public:
  explicit Kernel(System& system) : system_(system) {
    for (const TracedSyscall& traced : traced_syscalls()) by_number_[traced.number] = &traced;
  }

  Reply enter(Call& call) override {
    const TracedSyscall* const traced = find(call.number);
    note_folders(call);
    if (!traced || !traced->enter) return traced ? Reply::native_then_exit() : Reply::native();
    const std::array<u64, 6> args = call.args;
    if ((call.number == SYS_bpf || call.number == SYS_perf_event_open) && !reserve_.whole())
      return Reply::answer(-ENOMEM);
    const Reply reply = traced->enter(system_, call);
    if (reply.kind != Reply::Kind::kAnswered) return reply;
    ++answered_;
    if (system_.options.trace) trace(call, args, *traced, reply.value);
    return reply;
  }

  s64 exit(Call& call, s64 result) override {
    const TracedSyscall* const traced = find(call.number);
    return traced && traced->exit ? traced->exit(system_, call, result) : result;
  }

  // An object whose last descriptor was closed is gone when close() returns: no event after that, no id.
  PathTable* paths() override {
    system_.quiet_paths->begin();
    return system_.quiet_paths->table();
  }
  void publish(bool all_mappings) override {
    system_.quiet_paths->all_mappings = all_mappings;
    system_.quiet_paths->publish();
  }
  InsideView inside() override {
    return {system_.arena.get(), system_.quiet_maps->index(), system_.probes->apart().events()};
  }
  bool is_answered_inside(Call& call) override { return system_.quiet_maps->is_answered_inside(call); }
  void catch_up() override { system_.files.reap(); }
  EventSink* events() override { return system_.probes.get(); }
  void process_ended(pid_t tgid, int wait_status) override {
    system_.explanations.process_ended(tgid, wait_status != 0);
    release_unmapped(system_);
  }
  void thread_forked(pid_t parent, pid_t child) override {
    system_.identities.forked(parent, child);
    system_.cgroups.forked(parent, child);
  }
  void thread_executed(pid_t tid, pid_t old_tid) override {
    system_.identities.executed(tid, old_tid);
    system_.cgroups.executed(tid, old_tid);
  }
  void thread_gone(pid_t tid) override {
    system_.identities.gone(tid);
    system_.cgroups.gone(tid);
    system_.quiet_paths->held.returned(tid);
  }
  u32 version_code() override { return system_.profile.code; }
  u64 answered() const { return answered_; }

 private:
  const TracedSyscall* find(long number) const {
    return number >= 0 && number < static_cast<long>(kSyscallLimit) ? by_number_[number] : nullptr;
  }

  // Folders that are had without a path that anybody looks at.
  void note_folders(const Call& call) {
    HeldFolders& held = system_.quiet_paths->held;
    held.returned(call.task.tid());
    if (call.number == SYS_pidfd_getfd || call.number == SYS_open_tree || call.number == SYS_open_by_handle_at)
      held.may_get(call.task.tid());
  }

  void trace(const Call& call, const std::array<u64, 6>& args, const TracedSyscall& traced, s64 value) const {
    fmt::print(stderr, "bpfemu: [{}] {}({:#x}, {:#x}, {:#x}, {:#x}) = {}\n", call.task.tid(), traced.name, args[0],
               args[1], args[2], args[3], value);
  }

  System& system_;
  Reserve reserve_;
  std::array<const TracedSyscall*, kSyscallLimit> by_number_ = {};
  u64 answered_ = 0;
};

}  // namespace

RunReport supervise(const Options& wanted, const Command& command) {
  Options options = wanted;
  options.root = wanted.as_user ? Root{.way = RootWay::kBare} : find_root();
  if (command.verbose) fmt::print(stderr, "bpfemu: {}\n", describe(options.root));
  Breakpoints breakpoints;
  Session session(breakpoints);
  const Result<std::unique_ptr<System>> created = System::create(options, session.host(), breakpoints);
  if (!created) return {.outcome = {Outcome::Kind::kFailed, created.error().value}, .unmodelled = {}};
  System& system = **created;
  breakpoints.set_sink(system.probes.get());

  SyscallSet outer_denied;
  for (const TracedSyscall& call : traced_syscalls()) {
    if (call.outer_denies) outer_denied.set(call.number);
  }
  system.explanations.on_text([](const std::string& text) { std::fputs(text.c_str(), stderr); });
  Kernel kernel(system);
  session.host().heard = [&system](const SyscallSet& calls) { system.quiet_paths->listen(calls); };
  session.on_start([&system](Waker& waker) {
    // The same while nobody stops.
    (void)waker.watch(system.files.reap_fd(), [&system] { system.files.reap(); });
  });
  const Outcome outcome = session.run(command, options.root, calls_at_start(options.root), outer_denied, kernel,
                                      [&system](std::string_view what) { system.unmodelled.note(what); });
  system.explanations.finish();
  for (const std::string& name : system.object_space->told_fields().untold()) system.unmodelled.note("field", name);
  return {outcome, system.unmodelled.lines(), session.trace_counts(), kernel.answered(), session.decided_calls()};
}

}  // namespace bpfemu
