// SPDX-License-Identifier: Apache-2.0
// The program of a row: it looks whether the workload runs, reads the values and puts them into the ring buffer.
#pragma once

#include "tests/oracle/events/value.h"

namespace events {

// What all programs share.
struct Target {
  // Of the workload's first process; its threads and children are looked at, too.
  u32 root = 0;
  // An array map whose first word is the number of the step, 0 between steps; a ring buffer.
  int step_map = -1, ring = -1;
  u32 real_parent = 0, tgid = 0;
};

// Begins each record; the values follow, 8 bytes or Value::kTextSize each.
struct RecordHead {
  u32 listener, step, pid, tgid;
};

struct Question {
  Way way;
  const std::vector<Value>& values;
  // How many arguments a trampoline's context has before the result.
  u32 arguments;
  bool in_any_task;
};

// What records of `listener` are filled with.
std::vector<bpf_insn> make_program(const Target& target, u32 listener, const Question& question);

}  // namespace events
