// SPDX-License-Identifier: Apache-2.0
// Who asks, and whether they may (kernel: struct cred, generic_permission).
#pragma once

#include "emu/base/result.h"

namespace bpfemu {

// The user that a thread appears as, and those of its capabilities that files ask for.
struct Credentials {
  u32 uid = 0, gid = 0;
  bool dac_override = true;     // CAP_DAC_OVERRIDE
  bool dac_read_search = true;  // CAP_DAC_READ_SEARCH
  bool chown = true;            // CAP_CHOWN
  bool fowner = true;           // CAP_FOWNER
};

// What of a node decides.
struct Ownership {
  u32 mode;  // permission bits
  u32 uid, gid;
  bool folder;
};

// `mask` of R_OK, W_OK and X_OK: EACCES.
Result<void> permits(const Credentials& who, const Ownership& what, int mask);

// May the attributes be changed (kernel: inode_owner_or_capable)?
inline bool owns(const Credentials& who, const Ownership& what) { return who.fowner || who.uid == what.uid; }

}  // namespace bpfemu
