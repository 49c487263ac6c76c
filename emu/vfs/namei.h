// SPDX-License-Identifier: Apache-2.0
// From a path to a place, the way of the kernel's link_path_walk: one component after the other, through folders of the
// host and of ours alike, following the links of both. This is the only place where paths are taken apart.
#pragma once

#include <optional>

#include "emu/vfs/permission.h"
#include "emu/vfs/vfs.h"

namespace bpfemu {

// What the host has at a place. Paths are absolute, without links, and the caller's own (its root is "/").
struct HostEntry {
  enum class Kind : u8 {
    kOther,    // no link, or nothing that can be seen
    kMissing,  // nothing below it can be found either
    kLink,     // a symbolic link to `target`
    kJump,     // a magic link of /proc: the walk goes on at `jump`
    kNode,     // a file of ours that only the caller's side knows: `jump`
  };
  Kind kind = Kind::kOther;
  std::string target = {};
  Found jump = {};
};

class HostTree {
 public:
  virtual ~HostTree() = default;
  // Must not wait for what a traced process has to do.
  virtual HostEntry look(const std::string& path) = 0;
};

struct Walk {
  std::string_view text;
  Found start;                      // where relative paths begin; a folder of the host: its path
  const Credentials& who;
  std::string root = {};            // what the tree calls the caller's root, "" for the common one
  bool follow = true;               // a link in the last place
  bool create = false;              // O_CREAT: EACCES where a new file would be made, which no file system of ours can
  u64 resolve = 0;                  // RESOLVE_* of openat2(2)
};

// ENOENT, ENOTDIR, ELOOP, EACCES, ENAMETOOLONG; EXDEV of `resolve`. What the kernel finds wrong with the host's part is left
// to it: the result is then a place of the host.
Result<Found> look_up(Vfs& vfs, HostTree& host, const Walk& walk);
// The folder above, and the last component by itself (kernel: filename_parentat).
Result<Parent> look_up_parent(Vfs& vfs, HostTree& host, const Walk& walk);

}  // namespace bpfemu
