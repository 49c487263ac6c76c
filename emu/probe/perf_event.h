// SPDX-License-Identifier: Apache-2.0
// A perf event: what perf_event_open() makes. It fires at a point or on a clock, counts what the kernel counts in
// software, or owns a buffer that programs write to (PERF_COUNT_SW_BPF_OUTPUT).
#pragma once

#include <linux/perf_event.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "emu/base/object.h"
#include "emu/bpf/program.h"
#include "emu/kernel/event_filter.h"
#include "emu/ports/watch.h"
#include "emu/probe/perf_buffer.h"
#include "emu/probe/perf_tasks.h"
#include "emu/probe/point.h"
#include "emu/runtime/perf_ring.h"

namespace bpfemu {

class Probes;
class EventRecord;
struct Event;

// perf_event_attr.type of the dynamic PMUs, as /sys/bus/event_source/devices shows them in 6.1.
inline constexpr u32 kKprobePmu = 6, kUprobePmu = 7;
inline constexpr u32 kMaxPerfStack = 127;       // sysctl kernel.perf_event_max_stack
inline constexpr u64 kMaxSampleRate = 100'000;  // sysctl kernel.perf_event_max_sample_rate

class PerfEvent : public Object, public std::enable_shared_from_this<PerfEvent> {
 public:
  // kBreakpoint: debug registers; kClock: cpu-clock and task-clock; kCounter: every other software event but program output.
  enum class Sort : u8 { kTracepoint, kKprobe, kUprobe, kBreakpoint, kClock, kCounter, kOutput };

  struct Spec {
    Sort sort;
    perf_event_attr attr;
    pid_t pid;                                    // -1: every task
    int cpu;                                      // -1: every CPU
    std::shared_ptr<Point> point = nullptr;       // of tracing sorts; a tracepoint's is shared by all its events
    std::shared_ptr<PerfEvent> leader = nullptr;  // of the group that it joins
  };
  // Enabled unless attr.disabled is set. ENOMEM; uprobes: what Point::open says.
  static Result<std::shared_ptr<PerfEvent>> create(Probes& probes, Spec spec);
  ~PerfEvent() override;

  const Spec& spec() const { return spec_; }
  const perf_event_attr& attr() const { return spec_.attr; }
  Point* point() const { return spec_.point.get(); }
  // Does it fire at a point (kernel: perf_event_is_tracing)?
  bool tracing() const { return spec_.sort <= Sort::kUprobe; }
  u64 event_id() const { return state().id; }
  u64 runtime_address() const override { return extent_.address; }
  // What programs and record writers see of it; elements of PERF_EVENT_ARRAY maps hold its address.
  PerfEventState& state() const { return *reinterpret_cast<PerfEventState*>(extent_.address); }

  // The group: its leader, which may be the event itself, and the leader's siblings in the order in which they joined.
  PerfEvent& leader() const { return leader_ ? *leader_ : const_cast<PerfEvent&>(*this); }
  const std::vector<PerfEvent*>& siblings() const { return leader().siblings_; }
  // All of the group, the leader first. Whoever counts runs programs, and while one stands aside others close what they
  // like: lists of events that are gone through are held.
  using Held = std::vector<std::shared_ptr<PerfEvent>>;
  Held group() const;

  // The one program of the event (kernel: event->prog), null without.
  const std::shared_ptr<Program>& program() const { return program_; }
  // See attach.h: set_perf_event_program checks, this takes. E2BIG.
  Result<void> take_program(std::shared_ptr<Program> program, u64 cookie);
  void drop_program();
  u64 cookie() const { return cookie_; }  // that it was given with the program

  // Where its records go: its own buffer, made by mmap, or another event's (PERF_EVENT_IOC_SET_OUTPUT).
  const std::shared_ptr<PerfBuffer>& buffer() const { return buffer_; }
  void set_buffer(std::shared_ptr<PerfBuffer> buffer);
  std::set<u64> mapped_at;  // where its own mmaps put the buffer (kernel: mmap_count); munmap tells nobody

  // PERF_EVENT_IOC_ENABLE and DISABLE. Programs at points run regardless (kernel: trace_call_bpf asks nobody). A
  // sibling counts only while its leader is enabled.
  void enable();
  void disable();
  // Brings state().count and state().time up to date; of all events of the group.
  void update();
  void update_group();
  void reset();
  // PERF_EVENT_IOC_SET_FILTER: what does not pass is not counted. Programs run regardless. EEXIST: it has one; errors
  // of EventFilter::parse (kernel: ftrace_profile_set_filter).
  Result<void> set_filter(std::string_view text, std::string_view format);
  bool filtered() const { return filter_.has_value(); }
  // PERF_EVENT_IOC_PERIOD: EINVAL (kernel: _perf_event_period).
  Result<void> set_period(u64 value);
  // Overflows until it disables itself (PERF_EVENT_IOC_REFRESH); 0: for ever.
  u64 limit = 0;
  // Everything it counted in is gone.
  bool gone() const { return tasks_.gone(); }

  // Is it on, for that thread, and on that CPU?
  bool counts_in(pid_t tid) const { return state().active && tasks_.has(tid); }
  bool counts_here(pid_t tid, u32 cpu) const;

  // Of a breakpoint: what it watches, and from now on. EINVAL: `attr` has something else that is new.
  Watch watch() const {
    return {attr().bp_addr, attr().bp_type, static_cast<u32>(attr().bp_len)};
  }
  Result<void> rewatch(const perf_event_attr& attr);

  // The id of the event that the thread inherited, or its own (kernel: inherit_event).
  u64 stream_of(pid_t tid);

  // What becomes of threads, as the probes hear of it.
  void task_forked(pid_t parent, pid_t child, bool thread);
  void task_executed(pid_t old_tid, pid_t tid);
  void task_exiting(Task& task);

  // The event's point was passed by `scope`'s task, and its programs let it through (kernel: perf_tp_event).
  void hit(RunScope& scope, EventRecord& record);
  // So many times where processes run these by themselves, on that CPU. Only of one that only_counts(): nobody wants to
  // know more of what passes than how much.
  void passed(u64 times, u32 cpu);
  bool only_counts() const;
  // The stopped thread did what the breakpoint watches (kernel: perf_bp_event).
  void watched(Task& task);
  // The clock ticked while the stopped thread ran; null: while the CPU was idle.
  void sample(Task* task);

 private:
  PerfEvent(Probes& probes, Spec spec, Extent extent);
  void settle();
  bool listens() const;  // to a user instruction
  Result<void> listen();
  Held own_siblings() const;
  void leave_group();
  void link_group();
  void apply();
  void apply_group();
  void start_clock();
  void stop_clock();
  void tick();
  void used(pid_t tid, const TaskUsage& since);
  void take_samples(Task& task, u64 samples);
  PerfTasks::Visit visit();
  bool counts_usage() const { return spec_.pid > 0 || spec_.sort == Sort::kCounter; }
  u64 usage_count(const TaskUsage& usage) const;
  u64 period_ns() const;
  void count_hit(pid_t tid);
  bool counts_hits() const { return tracing() || spec_.sort == Sort::kBreakpoint; }
  std::optional<u64> sampled_period();
  void overflow(RunScope& scope, PerfSample& sample, void* context);

  Probes& probes_;
  Spec spec_;
  Extent extent_;
  PerfTasks tasks_;
  PerfEvent* leader_ = nullptr;       // null: itself
  std::vector<PerfEvent*> siblings_;  // of a leader
  std::shared_ptr<Program> program_;
  u64 cookie_ = 0;
  std::shared_ptr<PerfBuffer> buffer_;
  bool enabled_ = false;
  bool counting_ = false;    // enabled, and its leader too
  u64 timer_ = 0;            // 0: none
  u64 reset_at_ = 0;         // what a counter that goes on showed when it was reset
  std::set<pid_t> awaited_;  // threads that are to be sampled at their next stop
  u64 left_ = 0;             // counted since the last sample
  // Of `count`, what living children have counted since the last reset, and what those did that ended.
  std::map<pid_t, u64> living_;
  u64 ended_ = 0;
  std::map<pid_t, u64> streams_;  // of children, once a record has shown them
  std::optional<EventFilter> filter_;
};

}  // namespace bpfemu
