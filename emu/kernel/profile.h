// SPDX-License-Identifier: Apache-2.0
// The kernel that the model claims to be: its names and versions, as data. `since` in the tables is compared with it.
#pragma once

#include <string>

#include "emu/abi/kernel_version.h"

namespace bpfemu {

struct Profile {
  std::string name;         // "6.1"
  std::string release;      // uname -r: "6.1.0-56-amd64"
  std::string version;      // uname -v: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-..)"
  std::string banner = {};  // /proc/version
  u32 code;                 // LINUX_VERSION_CODE
  std::string data;         // folder of its data files (BTF, config, kallsyms)
};

// The default profile. `data` is found beside the binary, in the source tree or under the install prefix.
Profile default_profile();

}  // namespace bpfemu
