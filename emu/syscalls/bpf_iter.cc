// SPDX-License-Identifier: Apache-2.0
// Iterators.
#include "emu/syscalls/bpf.h"

namespace bpfemu {

// Only iterator links make iterators.
Result<u64> iter_create(BpfCall& call) {
  if (call.attr.iter_create.flags) return fail(EINVAL);
  TRY(call.link(call.attr.iter_create.link_fd));
  return fail(EINVAL);
}

}  // namespace bpfemu
