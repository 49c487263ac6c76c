// SPDX-License-Identifier: Apache-2.0
// What the calling task may do.
#pragma once

namespace bpfemu {

// capable(), with CAP_SYS_ADMIN implying the first three.
struct Capabilities {
  bool bpf = true, perfmon = true, net_admin = true, sys_admin = true, sys_boot = true;
};

}  // namespace bpfemu
