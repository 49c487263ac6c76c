// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/perf_sideband.h"

#include <linux/perf_event.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "emu/base/bytes.h"
#include "emu/base/proc_files.h"
#include "emu/probe/perf_event.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// Of which there are any somewhere, before all that want these get them (kernel: nr_comm_events, nr_mmap_events,
// nr_task_events).
bool asks(const perf_event_attr& attr) {
  return attr.comm || attr.mmap || attr.mmap_data || attr.task;
}

// kernel: perf_event_task_match.
bool wants_tasks(const perf_event_attr& attr) {
  return asks(attr) || attr.mmap2;
}

template <class... T>
std::string packed(const T&... values) {
  std::string out;
  (out.append(reinterpret_cast<const char*>(&values), sizeof values), ...);
  return out;
}

// Text with its NUL, in whole words.
std::string padded(std::string_view text) {
  std::string out(text);
  out.resize(round_up(text.size() + 1, sizeof(u64)));
  return out;
}

constexpr u64 kAllAccess = PROT_READ | PROT_WRITE | PROT_EXEC;
constexpr u64 kUserEnd = u64{1} << 47;  // the vsyscall page beyond is in no mapping of the process

}  // namespace

// A line of /proc/PID/maps, as a record shows it.
struct PerfSideband::Mapping {
  u64 start = 0, end = 0, offset = 0, inode = 0;
  u32 protection = 0, flags = MAP_PRIVATE, major = 0, minor = 0;
  std::string name;

  bool executable() const { return protection & PROT_EXEC; }
  bool of_file() const { return name.starts_with('/'); }
};

namespace {

using Mapping = PerfSideband::Mapping;

std::optional<Mapping> parse_mapping(const std::string& line) {
  Mapping m;
  char access[5] = {};
  int name = 0;
  if (sscanf(line.c_str(), "%lx-%lx %4s %lx %x:%x %lu %n", &m.start, &m.end, access, &m.offset, &m.major, &m.minor,
             &m.inode, &name) < 7) {
    return std::nullopt;
  }
  if (access[0] == 'r') m.protection |= PROT_READ;
  if (access[1] == 'w') m.protection |= PROT_WRITE;
  if (access[2] == 'x') m.protection |= PROT_EXEC;
  if (access[3] == 's') m.flags = MAP_SHARED;
  m.name = line.substr(static_cast<size_t>(name));
  if (m.of_file()) return m;
  // What no file is behind counts its pages from address 0, but for what the kernel itself maps.
  if (m.name != "[vdso]" && m.name != "[vvar]") m.offset = m.start;
  if (m.name.empty()) m.name = "//anon";
  return m;
}

// An exec maps the stack, the file and its interpreter, then the vDSO, wherever that comes to lie.
int order_of_exec(const Mapping& m) {
  return m.name == "[stack]" ? 0 : m.name == "[vdso]" ? 2 : m.name == "[vvar]" ? 3 : 1;
}

std::vector<Mapping> mappings(pid_t tid, u64 from, u64 to) {
  std::vector<Mapping> found;
  const auto text = read_proc(tid, "maps");
  if (!text) return found;
  for (size_t at = 0, end; (end = text->find('\n', at)) != std::string::npos; at = end + 1) {
    auto mapping = parse_mapping(text->substr(at, end - at));
    if (mapping && mapping->start < to && mapping->end > from) found.push_back(std::move(*mapping));
  }
  // A part of [vvar] in kernels that came later.
  std::erase_if(found, [](const Mapping& m) { return m.name == "[vvar_vclock]"; });
  std::ranges::stable_sort(found, {}, order_of_exec);
  return found;
}

}  // namespace

bool PerfSideband::wanted(const perf_event_attr& attr) {
  return wants_tasks(attr);
}

void PerfSideband::events_changed() {
  calls_.reset();
  any_ = programs_ = mappings_ = false;
  for (auto& [id, event] : probes_.perf_events) {
    any_ |= asks(event->attr());
    mappings_ |= event->attr().mmap || event->attr().mmap_data;
  }
  for (auto& [id, event] : probes_.perf_events) {
    const perf_event_attr& attr = event->attr();
    if (!event->state().active || !wanted(attr)) continue;
    programs_ |= attr.ksymbol || attr.bpf_event;
    if (attr.comm) calls_.set(SYS_prctl);
    if (!mappings_ || (!attr.mmap && !attr.mmap2 && !attr.mmap_data)) continue;
    for (long call : {SYS_mmap, SYS_mprotect, SYS_pkey_mprotect}) calls_.set(static_cast<size_t>(call));
    if (!attr.mmap_data) continue;
    for (long call : {SYS_brk, SYS_shmat}) calls_.set(static_cast<size_t>(call));
  }
}

SyscallSet PerfSideband::changing_calls() const {
  SyscallSet changing;
  for (const long call : {SYS_brk, SYS_mprotect, SYS_pkey_mprotect}) changing.set(static_cast<size_t>(call));
  return changing &= calls_;
}

void PerfSideband::program_loaded() const {
  if (programs_) probes_.unmodelled().note("perf records of loaded programs");
}

// Of the events that have the task, each gets its own (kernel: perf_iterate_sb).
void PerfSideband::tell(Task& task, const Match& match, const Make& make) {
  if (!any_) return;
  RunScope scope(probes_.runner(), &task, &task.regs(), {.cpu = true});
  if (!scope) return;
  Run& run = scope.run();
  probes_.for_each_perf_event([&](PerfEvent& event) {
    if (!match(event.attr()) || !event.counts_here(task.tid(), run.cpu->id)) return;
    PerfSample sample;
    sample.pid = run.task->tgid;
    sample.tid = run.task->tid;
    sample.cpu = run.cpu->id;
    sample.stream_id = event.stream_of(task.tid());
    sample.time = run.env->clock(run.env->self, event.state().clock);
    const Content content = make(event.attr(), sample.time);
    sample.misc = content.misc;
    (void)perf_event_record(&run, event.state(), content.type, content.body.data(),
                            static_cast<u32>(content.body.size()), sample);
  });
}

void PerfSideband::forked(Task& parent, pid_t child) {
  const auto facts = any_ ? probes_.host().facts(child) : fail(ESRCH);
  if (!facts) return;
  tell(parent, wants_tasks, [&](const perf_event_attr&, u64 time) {
    return Content{PERF_RECORD_FORK, 0,
                   packed(u32(facts->tgid), u32(parent.tgid()), u32(child), u32(parent.tid()), time)};
  });
}

// Of the parent there is only the process (kernel: perf_event_task_output).
void PerfSideband::exiting(Task& task) {
  before_.erase(task.tid());
  const auto facts = any_ ? probes_.host().facts(task.tid()) : fail(ESRCH);
  if (!facts) return;
  const u32 parent = static_cast<u32>(facts->parent_tgid);
  tell(task, wants_tasks, [&](const perf_event_attr&, u64 time) {
    return Content{PERF_RECORD_EXIT, 0, packed(u32(task.tgid()), parent, u32(task.tid()), parent, time)};
  });
}

void PerfSideband::tell_comm(Task& task, bool exec) {
  const auto facts = any_ ? probes_.host().facts(task.tid()) : fail(ESRCH);
  if (!facts) return;
  const std::string_view comm(facts->comm, strnlen(facts->comm, sizeof facts->comm));
  const Content content{PERF_RECORD_COMM, static_cast<u16>(exec ? PERF_RECORD_MISC_COMM_EXEC : 0),
                        packed(u32(task.tgid()), u32(task.tid())) + padded(comm)};
  tell(
      task, [](const perf_event_attr& attr) { return attr.comm != 0; },
      [&](const perf_event_attr&, u64) { return content; });
}

void PerfSideband::tell_mappings(Task& task, u64 from, u64 to) {
  for (const Mapping& m : mappings_ ? mappings(task.tid(), from, to) : std::vector<Mapping>()) tell_mapping(task, m);
}

void PerfSideband::tell_mapping(Task& task, const Mapping& m) {
  const u16 misc = PERF_RECORD_MISC_USER | (m.executable() ? 0 : PERF_RECORD_MISC_MMAP_DATA);
  const auto match = [&](const perf_event_attr& attr) {
    return m.executable() ? attr.mmap || attr.mmap2 : attr.mmap_data != 0;
  };
  tell(task, match, [&](const perf_event_attr& attr, u64) {
    std::string body = packed(u32(task.tgid()), u32(task.tid()), m.start, m.end - m.start, m.offset);
    // An inode's generation only its file system knows.
    if (attr.mmap2) body += packed(m.major, m.minor, m.inode, u64{0}, m.protection, m.flags);
    return Content{attr.mmap2 ? u32{PERF_RECORD_MMAP2} : u32{PERF_RECORD_MMAP}, misc, body + padded(m.name)};
  });
}

// Each mapping that got its new protection, as it was when it had got it (kernel: mprotect_fixup).
void PerfSideband::tell_protected(Task& task, u64 protection, const std::vector<Change>& changes) {
  const std::vector<Mapping> after = mappings(task.tid(), 0, kUserEnd);
  for (const auto [at, end] : changes) {
    const auto found = std::ranges::find_if(after, [at](const Mapping& m) { return m.start <= at && at < m.end; });
    if (found == after.end() || found->protection != protection) continue;
    Mapping changed = *found;
    changed.end = std::min(changed.end, end);
    tell_mapping(task, changed);
  }
}

void PerfSideband::executed(Task& task) {
  tell_comm(task, true);
  tell_mappings(task, 0, kUserEnd);
}

void PerfSideband::call_begins(Task& task, const PtRegs& regs, long number) {
  Before& before = before_[task.tid()] = {};
  if (number == SYS_brk) {
    for (const Mapping& m : mappings(task.tid(), 0, kUserEnd))
      if (m.name == "[heap]") before.heap_end = std::max(before.heap_end, m.end);
    return;
  }
  const u64 from = regs.rdi, to = from + round_up(regs.rsi, kPageSize);
  const std::vector<Mapping> all = mappings(task.tid(), from, to + 1);
  for (size_t i = 0; i < all.size(); ++i) {
    const u64 at = std::max(from, all[i].start), end = std::min(to, all[i].end);
    if (at >= end || all[i].protection == (regs.rdx & kAllAccess)) continue;
    // The one behind it may be what it becomes.
    const bool joins = i + 1 < all.size() && all[i + 1].start == end && all[i + 1].protection == (regs.rdx & kAllAccess);
    before.changes.push_back({at, joins ? all[i + 1].end : end});
  }
}

// A heap that stays in its last page, and a protection that was so before, are not told (kernel: brk, mprotect_fixup).
void PerfSideband::call_done(Task& task, const PtRegs& regs, long number, s64 result) {
  const auto entered = before_.extract(task.tid());
  if (number == SYS_mprotect || number == SYS_pkey_mprotect) {
    if (entered) tell_protected(task, regs.rdx & kAllAccess, entered.mapped().changes);
    return;
  }
  if (result < 0 && result >= -4095) return;
  const u64 address = static_cast<u64>(result);
  switch (number) {
    case SYS_prctl:
      if (regs.rdi == PR_SET_NAME) tell_comm(task, false);
      return;
    case SYS_brk:
      // Only asked, refused, or less.
      if (!entered || regs.rdi != address || round_up(address, kPageSize) <= entered.mapped().heap_end) return;
      return tell_mappings(task, address - 1, address);
    default: return tell_mappings(task, address, address + 1);
  }
}

}  // namespace bpfemu
