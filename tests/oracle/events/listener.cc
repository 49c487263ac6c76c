// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/events/listener.h"

#include <bpf/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "tests/oracle/events/perf.h"

namespace events {
namespace {

constexpr Way kWays[] = {kKprobe,        kKretprobe, kFentry, kFexit,     kLsm, kTracepoint,
                         kRawTracepoint, kTpBtf,     kUprobe, kUretprobe, kUsdt};

bpf_prog_type program_type(Way way) {
  if (way & (kFentry | kFexit | kTpBtf)) return BPF_PROG_TYPE_TRACING;
  if (way == kLsm) return BPF_PROG_TYPE_LSM;
  if (way == kTracepoint) return BPF_PROG_TYPE_TRACEPOINT;
  return way == kRawTracepoint ? BPF_PROG_TYPE_RAW_TRACEPOINT : BPF_PROG_TYPE_KPROBE;
}

bpf_attach_type attach_type(Way way) {
  switch (way) {
    case kFentry: return BPF_TRACE_FENTRY;
    case kFexit: return BPF_TRACE_FEXIT;
    case kLsm: return BPF_LSM_MAC;
    case kTpBtf: return BPF_TRACE_RAW_TP;
    default: return static_cast<bpf_attach_type>(0);
  }
}

int attach_event(const Listener& listener, int program) {
  perf_event_attr attr = perf_attr(listener.way, listener.target);
  attr.size = sizeof attr;
  if (listener.way == kTracepoint) attr.sample_period = 1;
  const int fd = static_cast<int>(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
  if (fd < 0) return -errno;
  if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) != 0 || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) != 0) return -errno;
  return fd;
}

int attach_program(const Listener& listener, int program) {
  if (listener.way & (kFentry | kFexit | kLsm | kTpBtf)) return bpf_raw_tracepoint_open(nullptr, program);
  if (listener.way == kRawTracepoint) return bpf_raw_tracepoint_open(listener.target.c_str(), program);
  return attach_event(listener, program);
}

int load(const Types& types, const Listener& listener, const std::vector<bpf_insn>& code) {
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = attach_type(listener.way);
  if (options.expected_attach_type || listener.way == kTpBtf)
    options.attach_btf_id = types.attach_id(listener.target, listener.way);
  const int fd = bpf_prog_load(program_type(listener.way), "events", "GPL", code.data(), code.size(), &options);
  if (fd >= 0) return fd;
  // Once more, for what the verifier says.
  static char log[1 << 16];
  options.log_level = 1;
  options.log_buf = log;
  options.log_size = sizeof log;
  bpf_prog_load(program_type(listener.way), "events", "GPL", code.data(), code.size(), &options);
  fprintf(stderr, "%s %s:\n%s", name_of(listener.way), listener.target.c_str(), log);
  return fd;
}

void attach_one(Listener& listener, const Types& types, const Target& target, u32 index) {
  const u32 arguments = types.arguments(listener.target, listener.way);
  const Question question{listener.way, listener.values, arguments, listener.in_any_task};
  const int program = load(types, listener, make_program(target, index, question));
  listener.fd = program < 0 ? program : attach_program(listener, program);
  if (program >= 0) close(program);
  if (listener.fd < 0) listener.error = (program < 0 ? "load " : "attach ") + errno_text(listener.fd);
}

std::string list_for(const Row& row, Way way) {
  if (way & (kKretprobe | kUretprobe | kRaw)) return row.more;
  if (way == kFexit) return std::string(row.values) + " " + row.more;
  return row.values;
}

}  // namespace

std::vector<Listener> attach(const std::vector<Row>& rows, const Types& types, const Target& target) {
  std::vector<Listener> listeners;
  for (const Row& row : rows)
    for (const Way way : kWays) {
      if (!(row.ways & way)) continue;
      std::string name = row.target;
      if (way & kRaw) name = name.substr(name.find(':') + 1);
      Listener listener{way, name, {}, row.in_any_task, row.left_out_in, -1, {}};
      if (auto values = types.values(list_for(row, way), name, way)) {
        listener.values = *values;
        attach_one(listener, types, target, static_cast<u32>(listeners.size()));
      } else {
        listener.error = "no such value";
      }
      listeners.push_back(listener);
    }
  return listeners;
}

}  // namespace events
