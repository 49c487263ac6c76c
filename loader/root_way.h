// SPDX-License-Identifier: Apache-2.0
// How the command becomes root: which way this host allows.
#pragma once

#include <string>

#include "emu/base/result.h"
#include "emu/ports/root.h"

namespace bpfemu {

// Tries it out: in a child, for a user namespace cannot be left. One without capabilities (AppArmor) is none.
Root find_root();
// One line for people.
std::string describe(const Root& root);

// Makes the calling process, which has one thread, root in a user namespace where `uid` and `gid` are 0 and no other id has
// a place. The errno of what failed: EPERM, ENOSPC (user.max_user_namespaces), ENOSYS, ENOENT (no /proc).
Result<void> enter_user_namespace(u32 uid, u32 gid);

}  // namespace bpfemu
