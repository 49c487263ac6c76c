// SPDX-License-Identifier: Apache-2.0
// What /sys/kernel/tracing/trace showed for bpf_printk() of such programs on 6.1.
#include "emu/probe/trace_flags.h"

#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "emu/hook/event.h"
#include "emu/probe/point.h"
#include "tests/unit/probe/world.h"

namespace bpfemu {
namespace {

ProgramText program(u32 type, u32 attach_type = 0) {
  ProgramText text{};
  text.type = type;
  text.expected_attach_type = attach_type;
  return text;
}

TEST_CASE("a line of the trace shows what kind of program wrote it") {
  World w;
  const Event call{.task = &w.task}, killed{.task = &w.task, .signal = SIGUSR1, .code = SI_USER},
      ended{.task = &w.task, .signal = SIGCHLD, .code = CLD_EXITED};
  const Point entry(w.probes, {.moment = Moment::kSyscallEnter}),
      signal(w.probes, {.moment = Moment::kHook, .hook = Hook::trace_signal_generate}),
      kernel(w.probes, {.moment = Moment::kSyscallEnter, .probe = Point::Probe::kKernel}),
      user(w.probes, {.moment = Moment::kNever, .probe = Point::Probe::kUser});
  const ProgramText tracepoint = program(BPF_PROG_TYPE_TRACEPOINT), raw = program(BPF_PROG_TYPE_RAW_TRACEPOINT),
                    kprobe = program(BPF_PROG_TYPE_KPROBE), sample = program(BPF_PROG_TYPE_PERF_EVENT);

  CHECK(trace_flags(tracepoint, &entry, &call, false) == "...21");
  CHECK(trace_flags(raw, &entry, &call, false) == "...2.");
  CHECK(trace_flags(program(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP), &entry, &call, false) == "...2.");
  CHECK(trace_flags(program(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY), &entry, &call, false) == "...11");
  CHECK(trace_flags(kprobe, &kernel, &call, false) == "...21");
  CHECK(trace_flags(kprobe, &user, &call, false) == "...11");

  CHECK(trace_flags(tracepoint, &signal, &killed, false) == "d..31");
  CHECK(trace_flags(raw, &signal, &killed, false) == "d..3.");
  CHECK(trace_flags(tracepoint, &signal, &ended, false) == "d..41");
  CHECK(trace_flags(raw, &signal, &ended, false) == "d..4.");

  CHECK(trace_flags(sample, nullptr, nullptr, true) == "d.h1.");
  CHECK(trace_flags(sample, nullptr, nullptr, false) == "d..2.");
  CHECK(trace_flags(program(BPF_PROG_TYPE_SCHED_CLS), nullptr, nullptr, false) == "...11");
  CHECK(trace_flags(raw, nullptr, nullptr, false) == "...2.");
}

}  // namespace
}  // namespace bpfemu
