// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

namespace bpfemu {

namespace {

Ending ended(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {{}, 128 + WTERMSIG(wait_status), WTERMSIG(wait_status)};
  return {{}, WEXITSTATUS(wait_status), 0};
}

Ending failed(const Outcome& outcome, const Invocation& run) {
  using Kind = Outcome::Kind;
  const std::string& name = run.command.argv.front();
  switch (outcome.kind) {
    case Kind::kNotFound: return {fmt::format("bpfemu: {}: command not found\n", name), kNotFound};
    case Kind::kNotExecutable:
      return {fmt::format("bpfemu: {}: cannot execute: {}\n", name, std::strerror(outcome.value)), kNotExecutable};
    case Kind::kTimedOut: return {"bpfemu: timed out\n", kTimedOut};
    case Kind::kOutOfCpu:
      return {"bpfemu: ended, since bpfemu itself has used the processor time of its hard limit (ulimit -H -t)\n",
              kFailed};
    case Kind::kNested: return {"bpfemu: already running under bpfemu, which does not nest\n", kFailed};
    case Kind::kPtraceDenied:
      return {
          "bpfemu: this system does not let a process trace its own child: allow ptrace, for instance with "
          "`sysctl kernel.yama.ptrace_scope=1` or, in a container, `--cap-add SYS_PTRACE`\n",
          kFailed};
    case Kind::kFailed:
    case Kind::kEnded: break;
  }
  return {fmt::format("bpfemu: cannot start {}: {}\n", name, std::strerror(outcome.value)), kFailed};
}

std::string stats_of(const RunReport& report) {
  constexpr std::array<const char*, 5> kLeft = {"", "of another form", "not in private text", "without room", "probed"};
  std::string text = fmt::format("bpfemu: {} stops, {} ptrace requests, {} calls answered, {} call sites patched",
                                 report.traced.stops, report.traced.requests, report.answered, report.decided.patched);
  for (size_t kind = 1; kind < kLeft.size(); ++kind)
    if (const u64 left = report.decided.refused[kind]) text += fmt::format(", {} left {}", left, kLeft[kind]);
  return text + "\n";
}

}  // namespace

Ending ending_of(const RunReport& report, const Invocation& run) {
  const bool ran = report.outcome.kind == Outcome::Kind::kEnded;
  Ending ending = ran ? ended(report.outcome.value) : failed(report.outcome, run);
  for (const std::string& line : report.unmodelled) ending.text += fmt::format("bpfemu: not modelled: {}\n", line);
  if (run.stats) ending.text += stats_of(report);
  if (run.strict && ran && !report.unmodelled.empty()) ending.status = kStrict, ending.signal = 0;
  return ending;
}

}  // namespace bpfemu
