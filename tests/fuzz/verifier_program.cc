// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/verifier_program.h"

#include <cstdio>
#include <cstring>

namespace bpfemu::fuzz {

std::string to_text(const Program& program) {
  char line[160];
  std::snprintf(line, sizeof line, "program %llu %u %u %u %u %u %d\n", static_cast<unsigned long long>(program.seed),
                program.type, program.attach, static_cast<unsigned>(program.privilege), program.log_level,
                program.flags, program.runs);
  std::string text = line;
  for (const Insn& insn : program.insns) {
    std::snprintf(line, sizeof line, "%02x %u %u %d %d\n", insn.code, insn.dst_reg, insn.src_reg, insn.off, insn.imm);
    text += line;
  }
  return text + "end\n";
}

bool read_text(FILE* file, Program& program) {
  char line[160];
  program = {};
  while (std::fgets(line, sizeof line, file)) {
    unsigned long long seed;
    unsigned privilege, code, dst, src, runs;
    int off, imm;
    if (std::sscanf(line, "program %llu %u %u %u %u %u %u", &seed, &program.type, &program.attach, &privilege,
                    &program.log_level, &program.flags, &runs) == 7) {
      program.seed = seed;
      program.privilege = static_cast<Privilege>(privilege);
      program.runs = runs;
    } else if (std::sscanf(line, "%x %u %u %d %d", &code, &dst, &src, &off, &imm) == 5) {
      program.insns.push_back(Op{static_cast<u8>(code), static_cast<int>(dst), static_cast<int>(src), off, imm});
    } else if (std::strcmp(line, "end\n") == 0) {
      return true;
    } else if (line[0] != '#') {
      return false;
    }
  }
  return false;
}

}  // namespace bpfemu::fuzz
