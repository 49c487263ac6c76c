// SPDX-License-Identifier: Apache-2.0
// bench_calls against the model alone, in one process: what a call costs without its stop.
// usage: modelbench [WANTED]
#include "tests/bench/calls.h"
#include "tests/unit/syscalls/fixture.h"

namespace {

long ask(int command, bpf_attr* attr, unsigned) {
  return bpfemu::test::kernel().bpf_in_place(command, *attr);
}

}  // namespace

int main(int argc, char** argv) {
  return bench_calls(ask, 1, argc > 1 ? argv[1] : "");
}
