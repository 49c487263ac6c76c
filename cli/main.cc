// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
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

// A descriptor that takes the place of an absent 0, 1 or 2 would be read from and written to; the command finds them as
// they were, since these close at its exec.
void occupy_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest that is free: this one.
    if (::open("/dev/null", O_RDWR | O_CLOEXEC) < 0) (void)::open("/", O_PATH | O_CLOEXEC);
  }
}

bool first_is(int argc, char** argv, std::string_view word) {
  return argc > 1 && argv[1] == word;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  if (first_is(argc, argv, bpfemu::kLoadObjects))
    return bpfemu::load_objects(bpfemu::from_arguments({argv + 1, argv + argc}));
  const bpfemu::Parsed parsed =
      first_is(argc, argv, "verify") ? bpfemu::parse_verify(argc - 1, argv + 1) : bpfemu::parse_arguments(argc, argv);
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
