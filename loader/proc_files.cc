// SPDX-License-Identifier: Apache-2.0
#include "loader/proc_files.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace bpfemu {

namespace {

constexpr u64 kSecond = 1'000'000'000;
// Fields of stat by their number in proc(5), which counts pid and comm.
constexpr size_t kMinorFaults = 10 - 3, kMajorFaults = 12 - 3, kUserTime = 14 - 3, kSystemTime = 15 - 3;
constexpr size_t kParent = 4 - 3, kPriority = 18 - 3, kStartTime = 22 - 3, kExitSignal = 38 - 3, kProcessor = 39 - 3;
constexpr size_t kPolicy = 41 - 3;

u64 now(clockid_t clock) {
  timespec t;
  ::clock_gettime(clock, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

// The last number on a line of status: "NSpid:\t4711\t1" has one for each namespace, from ours on.
pid_t innermost(const std::string& status, const char* key) {
  const size_t at = status.find(fmt::format("\n{}:", key)), end = status.find('\n', at + 1);
  const size_t last = status.rfind('\t', end);
  return at == status.npos || last == status.npos ? 0 : ::atoi(status.c_str() + last + 1);
}

u64 number(std::string_view text) {
  return ::strtoull(std::string(text).c_str(), nullptr, 10);
}

}  // namespace

u64 namespace_of(pid_t tid, const char* kind) {
  struct stat link;
  return ::stat(fmt::format("/proc/{}/ns/{}", tid, kind).c_str(), &link) == 0 ? link.st_ino : 1;
}

Result<TaskFacts> read_facts(pid_t tid) {
  const std::string stat = TRY(read_proc(tid, "stat")), status = TRY(read_proc(tid, "status"));
  const std::vector<std::string_view> fields = stat_fields(stat);
  if (fields.size() <= kProcessor) return fail(ESRCH);
  TaskFacts facts;
  facts.tid = tid;
  facts.tgid = status_field(status, "Tgid", 10);
  facts.parent_tid = facts.parent_tgid = status_field(status, "PPid", 10);
  facts.local_tid = innermost(status, "NSpid");
  facts.local_tgid = innermost(status, "NStgid");
  facts.pid_namespace = namespace_of(tid, "pid");
  const size_t uids = status.find("\nUid:\t");
  if (uids != status.npos) {
    char* end = nullptr;
    facts.uid = ::strtoul(status.c_str() + uids + 6, &end, 10);
    facts.euid = ::strtoul(end, nullptr, 10);
  }
  facts.gid = status_field(status, "Gid", 10);
  facts.capabilities = facts.local_capabilities = status_field(status, "CapEff", 16);
  const size_t open = stat.find('('), close = stat.rfind(')');
  stat.copy(facts.comm, std::min<size_t>(close - open - 1, 15), open + 1);
  facts.priority = 100 + static_cast<s64>(number(fields[kPriority]));
  facts.start_boottime_ns = number(fields[kStartTime]) * (kSecond / ::sysconf(_SC_CLK_TCK));
  facts.start_time_ns = facts.start_boottime_ns - (now(CLOCK_BOOTTIME) - now(CLOCK_MONOTONIC));
  facts.cpu = number(fields[kProcessor]);
  return facts;
}

Result<SignalFacts> read_signal_facts(pid_t tid) {
  const std::string status = TRY(read_proc(tid, "status"));
  SignalFacts facts;
  facts.tgid = status_field(status, "Tgid", 10);
  facts.parent_tgid = status_field(status, "PPid", 10);
  const size_t state = status.find("\nState:\t");
  facts.state = state == status.npos ? 0 : status[state + 8];
  facts.thread_pending = status_field(status, "SigPnd", 16);
  facts.shared_pending = status_field(status, "ShdPnd", 16);
  facts.blocked = status_field(status, "SigBlk", 16);
  facts.ignored = status_field(status, "SigIgn", 16);
  facts.caught = status_field(status, "SigCgt", 16);
  return facts;
}

Result<ChildFacts> read_child_facts(pid_t tgid) {
  const std::string stat = TRY(read_proc(tgid, "stat"));
  const std::vector<std::string_view> fields = stat_fields(stat);
  if (fields.size() <= kExitSignal) return fail(ESRCH);
  return ChildFacts{static_cast<pid_t>(number(fields[kParent])), static_cast<int>(number(fields[kExitSignal]))};
}

std::string read_comm(pid_t tid) {
  std::string comm = read_proc(tid, "comm").value_or("");
  if (!comm.empty() && comm.back() == '\n') comm.pop_back();
  return comm;
}

Result<pid_t> read_pidfd(pid_t tid, int fd) {
  const std::string info = TRY(read_proc(tid, fmt::format("fdinfo/{}", fd).c_str()));
  return static_cast<pid_t>(status_field(info, "Pid", 10));
}

// proc(5): "ID: 0", "signal: 60/...", "notify: signal/tid.2634".
bool timer_wants_thread(pid_t tgid, int timer) {
  const std::string timers = read_proc(tgid, "timers").value_or("");
  const size_t at = timers.find(fmt::format("ID: {}\n", timer)), notify = timers.find("notify: ", at);
  return at != timers.npos && notify != timers.npos && timers.compare(notify, 19, "notify: signal/tid.") == 0;
}

Result<u32> read_cpu(pid_t tid) {
  const std::string stat = TRY(read_proc(tid, "stat"));
  const std::vector<std::string_view> fields = stat_fields(stat);
  if (fields.size() <= kProcessor) return fail(ESRCH);
  return static_cast<u32>(number(fields[kProcessor]));
}

Result<TaskUsage> read_usage(pid_t tid) {
  const std::string stat = TRY(read_proc(tid, "stat")), status = TRY(read_proc(tid, "status"));
  const std::vector<std::string_view> fields = stat_fields(stat);
  if (fields.size() <= kProcessor) return fail(ESRCH);
  TaskUsage usage;
  usage.cpu = number(fields[kProcessor]);
  usage.minor_faults = number(fields[kMinorFaults]);
  usage.major_faults = number(fields[kMajorFaults]);
  usage.switches =
      status_field(status, "voluntary_ctxt_switches", 10) + status_field(status, "nonvoluntary_ctxt_switches", 10);
  // Not every kernel keeps these two.
  if (const Result<std::string> sched = read_proc(tid, "schedstat")) usage.run_ns = number(*sched);
  if (usage.run_ns == 0)
    usage.run_ns = (number(fields[kUserTime]) + number(fields[kSystemTime])) * (kSecond / ::sysconf(_SC_CLK_TCK));
  if (const Result<std::string> sched = read_proc(tid, "sched")) {
    const size_t at = sched->find("se.nr_migrations"), colon = at == sched->npos ? at : sched->find(':', at);
    if (colon != sched->npos) usage.migrations = ::strtoull(sched->c_str() + colon + 1, nullptr, 10);
  }
  return usage;
}

Result<RunState> read_run_state(pid_t tid) {
  const std::string stat = TRY(read_proc(tid, "stat"));
  const std::vector<std::string_view> fields = stat_fields(stat);
  if (fields.size() <= kPolicy || fields[0].empty()) return fail(ESRCH);
  return RunState{fields[0][0], static_cast<u32>(number(fields[kProcessor])), static_cast<u32>(number(fields[kPolicy]))};
}

Result<char> read_state(pid_t tid) {
  const std::string stat = TRY(read_proc(tid, "stat"));
  const std::vector<std::string_view> fields = stat_fields(stat);
  if (fields.empty() || fields[0].empty()) return fail(ESRCH);
  return fields[0][0];
}

bool is_dead(pid_t tid) {
  const Result<char> state = read_state(tid);
  if (!state) return state.error().value == ENOENT || state.error().value == ESRCH;
  return *state == 'Z' || *state == 'X';
}

// /proc/TID/syscall: "running", or numbers of which the last is the instruction pointer.
Result<u64> read_resume_address(pid_t tid) {
  const std::string text = TRY(read_proc(tid, "syscall"));
  const size_t at = text.rfind(" 0x");
  if (at == text.npos) return fail(EBUSY);
  return ::strtoull(text.c_str() + at + 1, nullptr, 16);
}

Result<long> read_sleeping_call(pid_t tid) {
  const std::string call = TRY(read_proc(tid, "syscall"));
  char* end = nullptr;
  const long number = ::strtol(call.c_str(), &end, 10);
  if (end == call.c_str() || number < 0 || number >= static_cast<long>(kSyscallLimit)) return fail(ENODATA);
  return number;
}

// se.exec_start is the scheduler's clock when the thread last ran. Our own tells what that clock shows now.
u64 read_asleep_ns(pid_t tid) {
  auto exec_start = [](pid_t of) -> double {
    const Result<std::string> sched = read_proc(of, "sched");
    const size_t at = sched ? sched->find("se.exec_start") : std::string::npos;
    const size_t colon = at == std::string::npos ? at : sched->find(':', at);
    return colon == std::string::npos ? 0 : ::strtod(sched->c_str() + colon + 1, nullptr);
  };
  const double then = exec_start(tid), here = exec_start(::getpid());
  return then > 0 && here > then ? static_cast<u64>((here - then) * 1e6) : 0;
}

}  // namespace bpfemu
