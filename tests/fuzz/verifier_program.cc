// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/verifier_program.h"

#include <cstdio>
#include <cstring>

namespace bpfemu::fuzz {

std::string to_text(const Program& program) {
  char line[160];
  std::snprintf(
      line, sizeof line, "program %llu %u %u %u %u %u %u %d %s\n", static_cast<unsigned long long>(program.seed),
      program.type, program.attach, static_cast<unsigned>(program.privilege), program.log_level, program.flags,
      static_cast<unsigned>(program.functions), program.runs, program.target.empty() ? "-" : program.target.c_str());
  std::string text = line;
  for (const Insn& insn : program.insns) {
    std::snprintf(line, sizeof line, "%02x %u %u %d %d\n", insn.code, insn.dst_reg, insn.src_reg, insn.off, insn.imm);
    text += line;
  }
  return text + "end\n";
}

bool read_text(FILE* file, Program& program) {
  char line[4096];
  program = {};
  while (std::fgets(line, sizeof line, file)) {
    unsigned long long seed;
    unsigned privilege, code, dst, src, functions, runs;
    int off, imm;
    char target[64];
    if (std::sscanf(line, "program %llu %u %u %u %u %u %u %u %63s", &seed, &program.type, &program.attach, &privilege,
                    &program.log_level, &program.flags, &functions, &runs, target) == 9) {
      program.seed = seed;
      program.privilege = static_cast<Privilege>(privilege);
      program.functions = static_cast<FunctionInfo>(functions);
      program.runs = runs;
      if (std::strcmp(target, "-") != 0) program.target = target;
    } else if (std::sscanf(line, "%x %u %u %d %d", &code, &dst, &src, &off, &imm) == 5) {
      program.insns.push_back(Op{static_cast<u8>(code), static_cast<int>(dst), static_cast<int>(src), off, imm});
    } else if (std::strcmp(line, "end\n") == 0) {
      return true;
    } else if (line[0] != '#' && line[0] != '\n') {
      return false;
    }
  }
  return false;
}

}  // namespace bpfemu::fuzz
