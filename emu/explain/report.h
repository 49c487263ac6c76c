// SPDX-License-Identifier: Apache-2.0
// Why a program was refused, in words and with the lines of its source: what bpfemu prints to its own stderr.
#pragma once

#include <string>
#include <vector>

#include "emu/explain/code.h"
#include "emu/explain/source.h"

namespace bpfemu {

// Something said of a place in the program.
struct Label {
  SourceLine at;
  std::string text;
};

struct Report {
  Code code = Code::kOther;
  std::string program;
  std::string function;            // that the last label is in, "" when unknown
  std::vector<Label> labels;       // in the order of the path; the last is where it was refused
  std::vector<std::string> notes;  // further facts
  std::string verifier;            // the verifier's own words
  std::string help;
};

Report explain(const Rejection& rejection);

// As text:
//
//   error[BV010]: pointer may be NULL (program handle_open)
//     --> src/probe.bpf.c:41:5
//      |
//   38 |   e = bpf_map_lookup_elem(&m, &pid);
//      |       - may be NULL: the result of bpf_map_lookup_elem()
//   41 |   e->count++;
//      |   ^ used here without a check
//      = verifier: R0 invalid mem access 'map_value_or_null'
//      = help: add `if (!e) return 0;` before line 41
std::string to_text(const Report& report);

}  // namespace bpfemu
