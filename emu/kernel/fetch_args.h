// SPDX-License-Identifier: Apache-2.0
// Fetch arguments of dynamic events: "[NAME=]FETCHARG[:TYPE]" at the end of a definition (kernel: trace_probe.c).
// They name fields of the event's record; programs get registers instead, so nothing is fetched here.
#pragma once

#include <string>
#include <vector>

#include "emu/kernel/probe_command.h"
#include "emu/kernel/symbols.h"

namespace bpfemu {

struct FetchType {
  const char* name;    // "x64"
  const char* field;   // "u64", as formats show it
  const char* format;  // "0x%Lx", as the print format shows it
  u32 size;
  bool is_signed, is_string;
};

struct FetchArg {
  std::string name, text;  // "fd", "%di:x64"
  const FetchType* type;
  u32 count = 0;                     // of an array; 0: none
  std::vector<std::string> symbols;  // "init_task+8": that it names
  u32 size() const { return type->size * (count ? count : 1); }
};

// Where the probe is, which decides what can be fetched.
struct FetchPlace {
  bool kernel = false;     // a kprobe
  bool on_return = false;  // then $retval is there
  bool at_entry = false;   // of a kernel function: then $argN is there
};

// Word `word` of the command, the fetch argument after those of `before`: EINVAL, ERANGE; E2BIG: the record grows too
// large (kernel: traceprobe_parse_probe_arg).
Result<FetchArg> parse_fetch_arg(const ProbeCommand& command, size_t word, const FetchPlace& place,
                                 const std::vector<FetchArg>& before);

// ENOENT: no such symbol; EINVAL: bad offset (kernel: traceprobe_update_arg).
Result<void> resolve_symbols(const FetchArg& arg, const Symbols& symbols);

}  // namespace bpfemu
