// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/event_record.h"

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/hook/record.h"
#include "emu/kernel/kernel_data.h"
#include "emu/probe/contexts.h"
#include "emu/probe/fetch.h"
#include "emu/probe/probes.h"
#include "emu/probe/trace_flags.h"

namespace bpfemu {

namespace {

// The fields common_* of every record (kernel: struct trace_entry).
struct Head {
  u16 type;
  u8 flags, preempt_count;
  s32 pid;
};

}  // namespace

void EventRecord::copy_tracepoint() {
  const u8* from = static_cast<const u8*>(context_);
  const RecordLayout& layout = *point_.where().layout;
  // What follows the fields of a syscalls event is aligned, be it nothing.
  const bool syscall = point_.where().listener == Listener::kSyscallEvents;
  const u32 size = record_bytes(context_) + (syscall ? 0 : layout.struct_size() - layout.size());
  bytes_.assign(from, from + std::min<size_t>(size, kContextSize));
}

// Where it was hit, and what is fetched there (kernel: kprobe_perf_func, kretprobe_perf_func, uprobe_perf_func).
void EventRecord::make_probe() {
  const Point::Where& where = point_.where();
  const auto& regs = *static_cast<const PtRegs*>(context_);
  const bool kernel = where.probe == Point::Probe::kKernel;
  // Registers of a kprobe are those behind the breakpoint.
  const u64 function = kernel ? where.address : where.on_return ? probes_.entry_of(point_, *scope_.task()) : regs.rip;
  u64 places[] = {function, regs.rip};
  bytes_.resize(sizeof(Head) + (where.on_return ? 2 : 1) * sizeof(u64));
  memcpy(bytes_.data() + sizeof(Head), places, bytes_.size() - sizeof(Head));
  if (!where.dynamic) return;
  fetch_arguments({.scope = scope_,
                   .regs = regs,
                   .probe = *where.dynamic,
                   .file_address = function - where.offset,
                   .symbols = probes_.kernel().symbols(),
                   .unmodelled = probes_.unmodelled()},
                  bytes_);
}

std::span<const u8> EventRecord::bytes() {
  if (!bytes_.empty()) return bytes_;
  if (point_.where().probe == Point::Probe::kNone) {
    copy_tracepoint();
  } else {
    make_probe();
  }
  const RecordState state = perf_state(point_, event_);
  const Head head{static_cast<u16>(point_.event_id()), state.flags, state.preempt_count,
                  static_cast<s32>(scope_.run().task->tid)};
  memcpy(bytes_.data(), &head, sizeof head);
  return bytes_;
}

// kernel: perf_tp_filter_match, filter_match_preds.
bool EventRecord::passes(const EventFilter& filter) {
  const auto user_text = [this](u64 address, size_t limit) -> Result<std::string> {
    Run& run = scope_.run();
    std::string text(limit, '\0');
    const s64 got = run.env->read_user_str(run.env->self, text.data(), address, limit);
    if (got < 0) return fail(EFAULT);
    text.resize(strnlen(text.data(), static_cast<size_t>(got)));
    return text;
  };
  FilteredRecord filtered{.record = bytes(), .cpu = scope_.run().cpu->id, .comm = {}, .user_text = user_text};
  TaskFacts facts;
  if (filter.asks_comm() && scope_.task()) {
    if (auto found = probes_.host().facts(scope_.task()->tid())) facts = *found;
    filtered.comm = {facts.comm, strnlen(facts.comm, sizeof facts.comm)};
  }
  return filter.matches(filtered);
}

}  // namespace bpfemu
