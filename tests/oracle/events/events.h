// SPDX-License-Identifier: Apache-2.0
// What programs see of a workload's events: the same rows are attached on a real kernel and under bpfemu, and each event
// becomes one line, "step/task how target #n: values".
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace events {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s64 = int64_t;

// The ways to attach to a row's target; a row names any number of them.
enum Way : u32 {
  kKprobe = 1,
  kKretprobe = 2,
  kFentry = 4,
  kFexit = 8,
  kLsm = 16,
  kTracepoint = 32,
  kRawTracepoint = 64,
  kTpBtf = 128,
  kUprobe = 256,
  kUretprobe = 512,
  kUsdt = 1024,
};
inline constexpr u32 kEntry = kKprobe | kFentry;
inline constexpr u32 kFunction = kKprobe | kKretprobe | kFentry | kFexit;
inline constexpr u32 kRaw = kRawTracepoint | kTpBtf;

// One place of the kernel or the workload, and what is asked of it. `values` and `more` are lists "name=path[:format]",
// apart by blanks (see value.h for paths). kretprobe, uretprobe: `more` alone; fexit: both; raw tracepoint and tp_btf: `more`;
// all others: `values`.
struct Row {
  u32 ways;
  const char* target;
  const char* values = "";
  const char* more = "ret=ret";
  // Softirqs reach it as whoever they interrupt: it is listened to in all tasks.
  bool in_any_task = false;
  // The steps in which it is left out: the mapping of a uprobe's slots is not told of.
  const char* left_out_in = "";
};
std::vector<Row> all_rows();

// One step of the workload: a few calls, in known numbers. What it started has ended when it returns.
struct Step {
  const char* name;
  void (*run)();
};
std::vector<Step> all_steps();
// What a step runs as another program: the number of `argv`'s that says so.
int run_as_program(int argc, char** argv);

// What tracefs says of all events, a line each.
void print_formats();

const char* name_of(Way way);
[[noreturn]] void fail(const std::string& what);
// "0", "-EINVAL".
std::string errno_text(s64 result);

}  // namespace events
