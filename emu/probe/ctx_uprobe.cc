// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/contexts.h"

namespace bpfemu {

void* user_regs(Probes&, const Event& event, const Point&, void* memory) {
  return new (memory) PtRegs(*event.regs);
}

}  // namespace bpfemu
