// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/events/perf.h"
#include "tests/oracle/events/report.h"
#include "tests/oracle/events/steps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace events {

const char* name_of(Way way) {
  switch (way) {
    case kKprobe: return "kprobe";
    case kKretprobe: return "kretprobe";
    case kFentry: return "fentry";
    case kFexit: return "fexit";
    case kLsm: return "lsm";
    case kTracepoint: return "tracepoint";
    case kRawTracepoint: return "raw_tp";
    case kTpBtf: return "tp_btf";
    case kUprobe: return "uprobe";
    case kUretprobe: return "uretprobe";
    case kUsdt: return "usdt";
  }
  return "?";
}

void fail(const std::string& what) {
  fprintf(stderr, "events: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

std::string errno_text(s64 result) {
  if (result == 0) return "0";
  const char* name = strerrorname_np(static_cast<int>(-result));
  return name ? std::string("-") + name : std::to_string(result);
}

namespace {

int make_map(bpf_map_type type, const char* name, u32 key, u32 value, u32 entries, u32 flags) {
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.map_flags = flags;
  const int fd = bpf_map_create(type, name, key, value, entries, &options);
  if (fd < 0) fail(std::string("the map ") + name);
  return fd;
}

// The process that is looked at, in a folder of its own. It begins when a byte comes.
pid_t start_workload(const std::vector<Step>& steps, const char* folder, volatile u32* step, int go) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  char byte;
  if (chdir(folder) != 0 || mkdir("files", 0755) != 0 || chdir("files") != 0) _exit(1);
  prctl(PR_SET_NAME, "workload");
  if (read(go, &byte, 1) != 1) _exit(1);
  // Nothing is open when a step begins, so that nothing is closed by who ends. The kernel reads only what is in memory.
  touch_program();
  close_range(0, ~0u, 0);
  for (u32 i = 0; i < steps.size(); ++i) {
    *step = i + 1;
    steps[i].run();
    *step = 0;
  }
  _exit(chdir("..") != 0 || rmdir("files") != 0);
}

int take_record(void* report, void* record, size_t size) {
  static_cast<Report*>(report)->take(record, size);
  return 0;
}

int run(const char* folder) {
  const std::vector<Step> steps = all_steps();
  Target target;
  target.step_map = make_map(BPF_MAP_TYPE_ARRAY, "step", 4, 8, 1, BPF_F_MMAPABLE);
  target.ring = make_map(BPF_MAP_TYPE_RINGBUF, "records", 0, 0, 1 << 24, 0);
  auto* step = static_cast<u32*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, target.step_map, 0));
  int go[2];
  if (step == MAP_FAILED || pipe(go) != 0) fail("the workload's memory");
  const pid_t child = start_workload(steps, folder, step, go[0]);
  if (child < 0) fail("the workload");
  Types types;
  target.root = static_cast<u32>(child);
  target.real_parent = types.offset("task_struct", "real_parent");
  target.tgid = types.offset("task_struct", "tgid");
  const std::vector<Listener> listeners = attach(all_rows(), types, target);
  Report report(listeners, steps, target.root);
  ring_buffer* ring = ring_buffer__new(target.ring, take_record, &report, nullptr);
  if (!ring || write(go[1], "", 1) != 1) fail("the ring buffer");
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) ring_buffer__poll(ring, 50);
  ring_buffer__consume(ring);
  report.print();
  fflush(stdout);
  // What holds the attachments is let go by the end of the process.
  return status == 0 ? 0 : 1;
}

}  // namespace
}  // namespace events

// FOLDER: where the workload makes its files. The workload runs this file, too, with "child" and what it shall do.
// "formats" asks what tracefs says of the events instead, "counting" what perf events count,
// "sampling" what they record.
int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "formats") return events::print_formats(), 0;
  if (argc > 1 && std::string(argv[1]) == "sampling") return events::ask_all_sampling(argc > 2 ? argv[2] : ""), 0;
  if (argc > 1 && std::string(argv[1]) == "counting") return events::ask_all_counting(argc > 2 ? argv[2] : ""), 0;
  if (argc > 1 && std::string(argv[1]) == "child") return events::run_as_program(argc, argv);
  char made[] = "/tmp/bpf_oracle_events.XXXXXX";
  const char* folder = argc > 1 ? argv[1] : mkdtemp(made);
  const int status = folder ? events::run(folder) : 1;
  if (folder == made) rmdir(made);
  return status;
}
