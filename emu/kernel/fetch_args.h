// SPDX-License-Identifier: Apache-2.0
// Fetch arguments of dynamic events: "[NAME=]FETCHARG[:TYPE]" at the end of a definition (kernel: trace_probe.c).
// They are fields of the event's record (probe/fetch.h fetches them); programs get registers instead.
#pragma once

#include <functional>
#include <span>
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

// A step from the registers to what is fetched (kernel: enum fetch_op).
enum class FetchOp : u8 {
  kRegister,      // value: offset in PtRegs
  kStack,         // value: word
  kStackPointer,
  kRetval,
  kArg,           // value: from 0
  kComm,
  kText,          // FetchArg::literal
  kNumber,
  kFileOffset,    // of a uprobe's file
  kSymbol,        // value: of FetchArg::symbols
  kRead,          // of memory at `value` behind the last step's result; the last one reads what is stored
  kReadUser,
};
struct FetchStep {
  FetchOp op;
  s64 value = 0;
};

struct FetchArg {
  std::string name, text;  // "fd", "%di:x64"
  const FetchType* type;
  u32 count = 0;                     // of an array; 0: none
  std::vector<FetchStep> steps;
  std::string literal;
  u32 bits = 0, shift = 0;           // of a bit field
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
// Where "SYMBOL+OFFSET" is, 0: nowhere.
u64 fetched_symbol(const std::string& symbol, const Symbols& symbols);

// An argument's value as the trace shows it, from the record that it is in at `offset`: "5", "\"text\"", "{1,2}" (kernel:
// print_probe_args).
using SymbolText = std::function<std::string(u64 address)>;
std::string fetched_text(const FetchArg& arg, std::span<const u8> record, u32 offset, const SymbolText& symbol_text);

}  // namespace bpfemu
