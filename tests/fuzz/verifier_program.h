// SPDX-License-Identifier: Apache-2.0
// A generated program: instructions and how they are to be loaded; its text form, in which a reduced one is kept.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu::fuzz {

using Insn = ::bpf_insn;

// What the loader may do, as sets of capabilities.
enum class Privilege : u8 {
  kNobody,   // none at all
  kNetwork,  // CAP_BPF and CAP_NET_ADMIN: no pointer reaches the program's results
  kFull,     // and CAP_PERFMON
};

// What the loader tells of functions: nothing, that all are static, or that those that are called are global.
enum class FunctionInfo : u8 { kNone, kStatic, kGlobal };

struct Program {
  u64 seed = 0;
  u32 type = BPF_PROG_TYPE_SOCKET_FILTER;
  u32 attach = 0;
  Privilege privilege = Privilege::kFull;
  u32 log_level = 1;
  u32 flags = 0;
  FunctionInfo functions = FunctionInfo::kNone;
  bool runs = true;    // its results depend on nothing but its input
  std::string target;  // what a tracing program attaches to, by its name in the kernel's BTF
  // BPF_PSEUDO_MAP_*: imm is the map's number in the table of maps.
  std::vector<Insn> insns;
};

// With braces, so that random arguments are drawn in the order in which they stand.
struct Op : Insn {
  Op(int code, int dst, int src, int off, s64 imm)
      : Insn{.code = static_cast<u8>(code),
             .dst_reg = static_cast<u8>(dst & 15),
             .src_reg = static_cast<u8>(src & 15),
             .off = static_cast<s16>(off),
             .imm = static_cast<s32>(imm)} {}
};

// "program SEED TYPE ATTACH PRIVILEGE LOG_LEVEL FLAGS FUNCTIONS RUNS TARGET", one line "CODE DST SRC OFF IMM" an
// instruction, "end".
std::string to_text(const Program& program);
// Takes the next program of a file; false at its end or at a line that is none of these.
bool read_text(FILE* file, Program& program);

}  // namespace bpfemu::fuzz
