// SPDX-License-Identifier: Apache-2.0
// bench_calls against the kernel that this process has: the real one (as root), or bpfemu's.
// usage: kernelbench [SCALE [WANTED]]
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

static long ask(int command, union bpf_attr* attr, unsigned size) {
  return syscall(SYS_bpf, command, attr, size);
}

int main(int argc, char** argv) {
  return bench_calls(ask, argc > 1 ? (unsigned)atoi(argv[1]) : 1, argc > 2 ? argv[2] : "");
}
