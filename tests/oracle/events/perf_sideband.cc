// SPDX-License-Identifier: Apache-2.0
// The records of what becomes of tasks and their mappings, as the attributes ask for them.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "tests/oracle/events/perf_ring.h"
#include "tests/oracle/events/steps.h"

namespace events {
namespace {

void rename_thread() {
  prctl(PR_SET_NAME, "renamed");
  prctl(PR_SET_NAME, "a name that is cut off");
  prctl(PR_SET_NAME, "");
  prctl(PR_SET_NAME, "events");
}

void fork_child() {
  in_child([] { prctl(PR_SET_NAME, "child"); });
}

void fork_vfork() {
  const pid_t child = vfork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
}

void start_thread() {
  in_thread([] { prctl(PR_SET_NAME, "thread"); });
}

void run_program() {
  in_child([] {
    execl("/proc/self/exe", "events", "child", "getppid", "1", nullptr);
    _exit(1);
  });
}

void run_missing() {
  in_child([] {
    execl("/no/such/program", "x", nullptr);
    _exit(0);
  });
}

void map_files() {
  const int file = open("/proc/self/exe", O_RDONLY);
  for (const int protection : {PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE, PROT_NONE})
    munmap(mmap(nullptr, 4096, protection, MAP_PRIVATE, file, 4096), 4096);
  munmap(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0), 4096);
  mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
}

void map_anonymous() {
  for (const int protection : {PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC}) {
    munmap(mmap(nullptr, 8192, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8192);
    munmap(mmap(nullptr, 8192, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 8192);
  }
}

void protect() {
  void* const at = mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(at, 4096, PROT_READ | PROT_EXEC);
  mprotect(at, 4096, PROT_READ | PROT_EXEC);
  mprotect(at, 3 * 4096, PROT_READ);
  munmap(at, 3 * 4096);
}

constexpr Step kSteps[] = {
    {"rename", rename_thread},   {"fork", fork_child},
    {"vfork", fork_vfork},       {"thread", start_thread},
    {"exec", run_program},       {"failed exec", run_missing},
    {"mapped files", map_files}, {"anonymous mappings", map_anonymous},
    {"protection", protect},
};

constexpr struct {
  const char* name;
  void (*apply)(perf_event_attr&);
} kWishes[] = {
    {"nothing", [](perf_event_attr&) {}},
    {"comm", [](perf_event_attr& a) { a.comm = 1; }},
    {"comm_exec alone", [](perf_event_attr& a) { a.comm_exec = 1; }},
    {"task", [](perf_event_attr& a) { a.task = 1; }},
    {"mmap", [](perf_event_attr& a) { a.mmap = 1; }},
    {"mmap2", [](perf_event_attr& a) { a.mmap = a.mmap2 = 1; }},
    {"mmap2 alone", [](perf_event_attr& a) { a.mmap2 = 1; }},
    {"mmap_data", [](perf_event_attr& a) { a.mmap_data = 1; }},
    {"mmap2 and data", [](perf_event_attr& a) { a.mmap = a.mmap2 = a.mmap_data = 1; }},
    {"all", [](perf_event_attr& a) { a.comm = a.comm_exec = a.task = a.mmap = a.mmap2 = a.mmap_data = 1; }},
    {"all with ids",
     [](perf_event_attr& a) {
       a.comm = a.comm_exec = a.task = a.mmap = a.mmap2 = a.sample_id_all = 1;
       a.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID | PERF_SAMPLE_CPU | PERF_SAMPLE_STREAM_ID |
                       PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP;
     }},
};

// What becomes of the stack is mapped where the kernel begins to fill it, before it has its place: not told of here.
bool is_unplaced_stack(const std::vector<u8>& record) {
  constexpr u64 kEnd = 0x7ffffffff000;
  struct {
    perf_event_header header;
    u32 pid, tid;
    u64 address, length;
  } begin;
  if (record.size() < sizeof begin) return false;
  memcpy(&begin, record.data(), sizeof begin);
  const bool maps = begin.header.type == PERF_RECORD_MMAP || begin.header.type == PERF_RECORD_MMAP2;
  return maps && begin.address + begin.length == kEnd;
}

void ask_step(const std::string& question, const Step& step, perf_event_attr attr) {
  const Perf event(attr, 0, 0);
  if (!event.opened()) return answer(question, event.fd());
  PerfRing ring(event, 16);
  Names names{{{id_of(event), "own"}}, {{static_cast<u32>(getpid()), "main"}}};
  event.enable();
  step.run();
  event.disable();
  int number = 0;
  for (const auto& record : ring.take())
    if (!is_unplaced_stack(record))
      answer(question + " #" + std::to_string(++number), record_text(record, attr, names, ""));
  answer(question + " records", number);
}

}  // namespace

void ask_sideband() {
  prctl(PR_SET_NAME, "events");
  for (const Step& step : kSteps) step.run();
  for (const Step& step : kSteps)
    for (const auto& wish : kWishes)
      for (const bool inherit : {false, true}) {
        perf_event_attr attr = software_attr(PERF_COUNT_SW_DUMMY);
        attr.disabled = 1;
        attr.inherit = inherit;
        wish.apply(attr);
        // Parent and child may have changed their events when the kernel switched between them (context_equiv).
        if (inherit) attr.sample_type &= ~u64{PERF_SAMPLE_STREAM_ID};
        ask_step(std::string("sideband ") + step.name + ", " + wish.name + (inherit ? ", inherit" : ""), step, attr);
      }
}

}  // namespace events
