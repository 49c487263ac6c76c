// SPDX-License-Identifier: Apache-2.0
// The sysctls that have to do with BPF and tracing: emu/abi/sysctls.inc.
#pragma once

#include <map>
#include <span>
#include <string_view>

#include "emu/base/result.h"

namespace bpfemu {

struct Sysctl {
  const char* path;  // below /proc/sys
  u32 mode;
  s64 value, least, most;
};

class Sysctls {
 public:
  Sysctls();
  static std::span<const Sysctl> all();

  // What it is set to now; the path must be one of the table's.
  s64 operator[](std::string_view path) const { return values_.find(path)->second; }
  // What was written to it: EINVAL: no number, or out of bounds (kernel: proc_dointvec_minmax); EPERM: what is off for
  // good (kernel: bpf_unpriv_handler). Only the first number counts.
  Result<void> write(const Sysctl& sysctl, std::string_view text);

 private:
  std::map<std::string_view, s64> values_;
};

}  // namespace bpfemu
