// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>

#include "cli/report.h"

namespace {

// Dies as the command did, so that a shell says the same; without a core of bpfemu's.
void die_of(int signal) {
  const rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
}

}  // namespace

int main(int argc, char** argv) {
  const bpfemu::Parsed parsed = bpfemu::parse_arguments(argc, argv);
  if (!parsed.invocation) {
    std::fputs(parsed.text.c_str(), parsed.status == 0 ? stdout : stderr);
    return parsed.status;
  }
  const bpfemu::Invocation& run = *parsed.invocation;
  const bpfemu::Ending ending = bpfemu::ending_of(bpfemu::supervise(run.options, run.command), run);
  std::fputs(ending.text.c_str(), stderr);
  if (ending.signal != 0) die_of(ending.signal);
  return ending.status;
}
