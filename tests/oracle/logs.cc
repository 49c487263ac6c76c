// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/logs.h"

#include <regex>

namespace oracle {

namespace {

// Not the verifier's: the time it took, and where a map lies.
std::string masked(const std::string& log) {
  static const std::regex time("verification time [0-9]+ usec");
  static const std::regex address("(\\(18\\) r[0-9]+ = )0x(ffff[89c-f][0-9a-f]{11}|551[0-9a-f]{9}) *");
  return std::regex_replace(std::regex_replace(log, time, "verification time N usec"), address, "$1ADDRESS ");
}

std::string joined(const std::string& log) {
  std::string line;
  for (char c : log) line += c == '\n' ? std::string("\\n") : std::string(1, c);
  return line;
}

}  // namespace

void ask_logs_of(const std::string& name, bpf_attr attr) {
  std::string log(1 << 20, 0);
  for (u32 level : {1u, 2u, 4u}) {
    log.assign(log.size(), 0);
    attr.log_level = level;
    attr.log_size = static_cast<u32>(log.size());
    attr.log_buf = ptr(log.data());
    long result = bpf(BPF_PROG_LOAD, attr);
    say("log " + std::to_string(level) + "/" + name, fd_text(result) + " | " + joined(masked(log.c_str())));
  }
}

void ask_logs_of(const std::string& name, const Program& program, u32 type) {
  ask_logs_of(name, prog_attr(type, program));
}

void ask_logs() {
  ask_logs_of_values();
  ask_logs_of_memory();
  ask_logs_of_calls();
}

}  // namespace oracle
