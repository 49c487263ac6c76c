// SPDX-License-Identifier: Apache-2.0
// The samples of tracepoints and probes, and how they come through the buffer.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>

#include "tests/oracle/events/perf_ring.h"
#include "tests/oracle/events/steps.h"
#include "tests/oracle/events/value.h"

namespace events {
namespace {

const std::string kEnter = "syscalls:sys_enter_getppid";

void calls_of_open() {
  close(static_cast<int>(call(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0)));
  call(SYS_openat, -1, "missing", O_CREAT, 0640);
}

void rename_thread() {
  prctl(PR_SET_NAME, "sampled");
  prctl(PR_SET_NAME, "events");
}

void send_signals() {
  for (const int number : {SIGUSR1, SIGURG}) kill(getpid(), number);
}

void fork_child() {
  in_child([] { get_parent(1); });
}

void probed() {
  call_probed(2);
}

struct Source {
  Way way;
  const char* target;
  void (*run)();
};
constexpr Source kSources[] = {
    {kTracepoint, "syscalls:sys_enter_openat", calls_of_open},
    {kTracepoint, "syscalls:sys_exit_openat", calls_of_open},
    {kTracepoint, "raw_syscalls:sys_enter", send_signals},
    {kTracepoint, "raw_syscalls:sys_exit", send_signals},
    {kTracepoint, "task:task_rename", rename_thread},
    {kTracepoint, "signal:signal_generate", send_signals},
    {kTracepoint, "task:task_newtask", fork_child},
    {kTracepoint, "sched:sched_process_fork", fork_child},
    {kTracepoint, "sched:sched_wakeup_new", fork_child},
    {kKprobe, "do_sys_openat2", calls_of_open},
    {kKretprobe, "do_sys_openat2", calls_of_open},
    {kKprobe, "vfs_open", calls_of_open},
    {kKprobe, "__x64_sys_kill", send_signals},
    {kUprobe, "probed_failure", probed},
    {kUretprobe, "probed_failure", probed},
};

std::string format_of(const Source& source) {
  std::string path = source.target;
  if (source.way == kTracepoint) {
    path[path.find(':')] = '/';
    return contents("/sys/kernel/tracing/events/" + path + "/format");
  }
  // Of a probe of the event's own there is no file: the common fields, and where it was hit.
  std::string format = contents("/sys/kernel/tracing/events/syscalls/sys_enter_getppid/format");
  const bool returns = source.way & (kKretprobe | kUretprobe);
  format = format.substr(0, format.find("\n\n"));
  const char* const first = returns ? "__probe_func" : "__probe_ip";
  format += std::string("\n\tfield:unsigned long ") + first + ";\toffset:8;\tsize:8;\tsigned:0;\n";
  if (returns) format += "\tfield:unsigned long __probe_ret_ip;\toffset:16;\tsize:8;\tsigned:0;\n";
  return format;
}

// The records that the source's work leaves in a buffer.
void ask_records(const std::string& question, const Source& source, void (*apply)(perf_event_attr&)) {
  const std::string target = source.target;
  perf_event_attr attr = perf_attr(source.way, target);
  attr.disabled = 1;
  attr.sample_period = 1;
  apply(attr);
  const Perf event(attr);
  if (!event.opened()) return answer(question, event.fd());
  PerfRing ring(event, 8);
  Names names{{{id_of(event), "own"}}, {{static_cast<u32>(getpid()), "main"}}};
  event.enable();
  source.run();
  event.disable();
  const auto records = ring.take();
  answer(question + " records", static_cast<s64>(records.size()));
  const std::string format = format_of(source);
  for (size_t i = 0; i < records.size(); ++i)
    answer(question + " #" + std::to_string(i + 1), record_text(records[i], attr, names, format));
}

constexpr u64 kRegisters = 0x3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 10 | 1 << 11;  // ax bx si di ip cs ss

constexpr u64 kBits[] = {
    PERF_SAMPLE_IP,           PERF_SAMPLE_TID,        PERF_SAMPLE_TIME,     PERF_SAMPLE_ADDR,
    PERF_SAMPLE_READ,         PERF_SAMPLE_CALLCHAIN,  PERF_SAMPLE_ID,       PERF_SAMPLE_CPU,
    PERF_SAMPLE_PERIOD,       PERF_SAMPLE_STREAM_ID,  PERF_SAMPLE_RAW,      PERF_SAMPLE_REGS_USER,
    PERF_SAMPLE_WEIGHT,       PERF_SAMPLE_STACK_USER, PERF_SAMPLE_DATA_SRC, PERF_SAMPLE_IDENTIFIER,
    PERF_SAMPLE_TRANSACTION,  PERF_SAMPLE_PHYS_ADDR,  PERF_SAMPLE_CGROUP,   PERF_SAMPLE_DATA_PAGE_SIZE,
    PERF_SAMPLE_WEIGHT_STRUCT};

u64 wanted_bits;

void with_bits(perf_event_attr& attr) {
  attr.sample_type = wanted_bits;
  attr.read_format =
      PERF_FORMAT_ID | PERF_FORMAT_LOST | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  if (wanted_bits & PERF_SAMPLE_REGS_USER) attr.sample_regs_user = kRegisters;
  if (wanted_bits & PERF_SAMPLE_STACK_USER) attr.sample_stack_user = 256;
}

void ask_bits() {
  constexpr u64 kNot = PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_WEIGHT_STRUCT;
  u64 all = 0;
  for (const u64 bit : kBits) all |= bit & ~kNot;
  for (const Source& source : kSources) {
    const std::string question = std::string("samples ") + name_of(source.way) + " " + source.target + " ";
    for (const u64 bit : kBits) {
      wanted_bits = bit;
      char text[32];
      snprintf(text, sizeof text, "bit %#lx", bit);
      ask_records(question + text, source, with_bits);
    }
    wanted_bits = 0;
    ask_records(question + "no bit", source, with_bits);
    wanted_bits = all;
    ask_records(question + "all bits", source, with_bits);
  }
}

void ask_variants() {
  const struct {
    const char* name;
    void (*apply)(perf_event_attr&);
  } variants[] = {
      {"period 2", [](perf_event_attr& a) { a.sample_period = 2, a.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_READ; }},
      {"period 2 shown",
       [](perf_event_attr& a) { a.sample_period = 2, a.sample_type = PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ; }},
      {"exclude_kernel", [](perf_event_attr& a) { a.exclude_kernel = 1, a.sample_type = PERF_SAMPLE_IP; }},
      {"exclude_user", [](perf_event_attr& a) { a.exclude_user = 1, a.sample_type = PERF_SAMPLE_IP; }},
      {"no user chain",
       [](perf_event_attr& a) { a.exclude_callchain_user = 1, a.sample_type = PERF_SAMPLE_CALLCHAIN; }},
      {"no kernel chain",
       [](perf_event_attr& a) { a.exclude_callchain_kernel = 1, a.sample_type = PERF_SAMPLE_CALLCHAIN; }},
      {"no chain",
       [](perf_event_attr& a) {
         a.exclude_callchain_kernel = a.exclude_callchain_user = 1, a.sample_type = PERF_SAMPLE_CALLCHAIN;
       }},
      {"short chain", [](perf_event_attr& a) { a.sample_max_stack = 2, a.sample_type = PERF_SAMPLE_CALLCHAIN; }},
      {"group read",
       [](perf_event_attr& a) {
         a.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID, a.sample_type = PERF_SAMPLE_READ;
       }},
      {"clock",
       [](perf_event_attr& a) {
         a.use_clockid = 1, a.clockid = CLOCK_MONOTONIC_RAW, a.sample_type = PERF_SAMPLE_TIME;
       }},
      {"large stack",
       [](perf_event_attr& a) { a.sample_stack_user = 16, a.sample_type = PERF_SAMPLE_STACK_USER | PERF_SAMPLE_RAW; }},
  };
  for (const Source& source : kSources)
    for (const auto& variant : variants)
      ask_records(std::string("samples ") + name_of(source.way) + " " + source.target + " " + variant.name, source,
                  variant.apply);
}

// Samples that show all of a group.
void ask_group_samples() {
  perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  attr.disabled = 1;
  attr.sample_period = 2;
  attr.sample_type = PERF_SAMPLE_READ | PERF_SAMPLE_ID;
  attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_LOST;
  const Perf leader(attr);
  static const std::string exits = "syscalls:sys_exit_getppid";
  perf_event_attr other = perf_attr(kTracepoint, exits);
  other.sample_period = 3;
  other.sample_type = attr.sample_type;
  other.read_format = attr.read_format;
  const Perf sibling(other, 0, -1, leader.fd());
  PerfRing ring(leader, 4);
  answer("samples of a group, output", sibling.control(PERF_EVENT_IOC_SET_OUTPUT, static_cast<u64>(leader.fd())));
  Names names{{{id_of(leader), "leader"}, {id_of(sibling), "sibling"}}, {}};
  leader.enable();
  get_parent(7);
  leader.disable();
  int number = 0;
  for (const auto& record : ring.take())
    answer("samples of a group #" + std::to_string(++number), record_text(record, attr, names, ""));
}

perf_event_attr small_samples() {
  perf_event_attr attr = perf_attr(kTracepoint, kEnter);
  attr.disabled = 1;
  attr.sample_period = 1;
  attr.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_ID | PERF_SAMPLE_READ | PERF_SAMPLE_CPU;
  attr.read_format = PERF_FORMAT_LOST;
  return attr;
}

// A buffer that is full, what was lost, and what it says of it.
void ask_lost(const char* name, bool identified, bool paused) {
  perf_event_attr attr = small_samples();
  attr.sample_id_all = identified;
  const Perf event(attr);
  PerfRing ring(event, 1);
  Names names{{{id_of(event), "own"}}, {{static_cast<u32>(getpid()), "main"}}};
  const std::string question = std::string("buffers lost ") + name;
  event.enable();
  if (paused) event.control(PERF_EVENT_IOC_PAUSE_OUTPUT, 1);
  get_parent(100);
  const auto first = ring.take();
  answer(question + " records", static_cast<s64>(first.size()));
  if (paused) event.control(PERF_EVENT_IOC_PAUSE_OUTPUT, 0);
  get_parent(2);
  event.disable();
  int number = 0;
  for (const auto& record : ring.take())
    answer(question + " then #" + std::to_string(++number), record_text(record, attr, names, ""));
  const std::vector<u64> words = event.words();
  answer(question + " count", words.size() == 2 ? static_cast<s64>(words[0]) : -1);
  answer(question + " lost", words.size() == 2 ? static_cast<s64>(words[1]) : -1);
}

// After which call poll() finds something, and how often.
void ask_wakeups(const char* name, void (*apply)(perf_event_attr&)) {
  perf_event_attr attr = small_samples();
  apply(attr);
  const Perf event(attr);
  PerfRing ring(event, 2);
  event.enable();
  std::string woken;
  for (int i = 1; i <= 160; ++i) {
    get_parent(1);
    pollfd one{event.fd(), POLLIN, 0};
    if (poll(&one, 1, 0) > 0 && one.revents & POLLIN) woken += (woken.empty() ? "" : " ") + std::to_string(i);
    if (i % 40 == 0) ring.take();
  }
  event.disable();
  answer(std::string("buffers wakeups ") + name, woken.empty() ? "none" : woken);
}

void ask_downward() {
  perf_event_attr attr = small_samples();
  attr.write_backward = 1;
  const Perf event(attr);
  PerfRing ring(event, 1, PROT_READ);
  Names names{{{id_of(event), "own"}}, {{static_cast<u32>(getpid()), "main"}}};
  event.enable();
  get_parent(150);
  event.control(PERF_EVENT_IOC_PAUSE_OUTPUT, 1);
  get_parent(3);
  event.disable();
  const auto records = ring.downward();
  answer("buffers downward records", static_cast<s64>(records.size()));
  for (size_t i = 0; i < 3 && i < records.size(); ++i)
    answer("buffers downward #" + std::to_string(i + 1), record_text(records[i], attr, names, ""));
}

void ask_page() {
  const Perf event(small_samples());
  const PerfRing ring(event, 4);
  const perf_event_mmap_page& page = ring.page();
  answer("buffers page version", page.version);
  answer("buffers page compat_version", page.compat_version);
  answer("buffers page cap_bit0", page.cap_bit0);
  answer("buffers page cap_bit0_is_deprecated", page.cap_bit0_is_deprecated);
  answer("buffers page cap_user_rdpmc", page.cap_user_rdpmc);
  answer("buffers page index", page.index);
  answer("buffers page size", page.size);
  answer("buffers page head", static_cast<s64>(page.data_head));
  answer("buffers page data_offset", static_cast<s64>(page.data_offset));
  answer("buffers page data_size", static_cast<s64>(page.data_size));
  answer("buffers page aux_size", static_cast<s64>(page.aux_size));
}

}  // namespace

void ask_samples() {
  for (const int number : {SIGUSR1, SIGURG}) signal(number, [](int) {});
  for (const Source& source : kSources) source.run();
  ask_bits();
  ask_variants();
  ask_group_samples();
}

void ask_buffers() {
  ask_lost("plainly", false, false);
  ask_lost("with ids", true, false);
  ask_lost("paused", true, true);
  ask_wakeups("by default", [](perf_event_attr&) {});
  ask_wakeups("each event", [](perf_event_attr& a) { a.wakeup_events = 1; });
  ask_wakeups("every 7 events", [](perf_event_attr& a) { a.wakeup_events = 7; });
  ask_wakeups("watermark 0", [](perf_event_attr& a) { a.watermark = 1; });
  ask_wakeups("watermark 1", [](perf_event_attr& a) { a.watermark = 1, a.wakeup_watermark = 1; });
  ask_wakeups("watermark 400", [](perf_event_attr& a) { a.watermark = 1, a.wakeup_watermark = 400; });
  ask_wakeups("watermark 1 MiB", [](perf_event_attr& a) { a.watermark = 1, a.wakeup_watermark = 1 << 20; });
  ask_downward();
  ask_page();
}

}  // namespace events
