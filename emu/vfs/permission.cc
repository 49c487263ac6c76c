// SPDX-License-Identifier: Apache-2.0
#include "emu/vfs/permission.h"

#include <unistd.h>

namespace bpfemu {

Result<void> permits(const Credentials& who, const Ownership& what, int mask) {
  u32 wanted = static_cast<u32>(mask);
  u32 bits = who.uid == what.uid ? what.mode >> 6 : who.gid == what.gid ? what.mode >> 3 : what.mode;
  if ((bits & wanted) == wanted) return {};
  bool reads_only = what.folder ? !(mask & W_OK) : mask == R_OK;
  if (reads_only && who.dac_read_search) return {};
  // A file must be executable by somebody.
  bool can_run = !(mask & X_OK) || what.folder || (what.mode & 0111);
  if (can_run && who.dac_override) return {};
  return fail(EACCES);
}

}  // namespace bpfemu
