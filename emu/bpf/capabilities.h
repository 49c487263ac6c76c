// SPDX-License-Identifier: Apache-2.0
// What the calling task may do.
#pragma once

namespace bpfemu {

// capable(), with CAP_SYS_ADMIN implying the other three.
struct Capabilities {
  bool bpf = true, perfmon = true, net_admin = true, sys_admin = true;
};

}  // namespace bpfemu
