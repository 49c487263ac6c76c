// SPDX-License-Identifier: Apache-2.0
// Paths in system calls: from the tool's memory to a place in the synthetic tree, to a descriptor of ours under
// /proc/PID/fd, or to the verdict that the call is none of our business.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "emu/syscalls/call.h"
#include "emu/syscalls/files.h"
#include "emu/syscalls/system.h"
#include "emu/vfs/namei.h"

namespace bpfemu {

// Which argument registers of a call name a file.
struct PathArgument {
  int directory = -1;  // index of the dirfd argument, -1: the current folder
  int path = 0;        // index of the path argument
  int flags = -1;      // index of the flags argument (AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW), -1: none
};

// The first argument behind the path of chmod(), chown() and their kind: SYS_chmod, ..., SYS_fchownat.
size_t first_after_path(long number);

// How the path is walked.
struct How {
  bool follow = true;
  bool create = false;  // see Walk
  u64 resolve = 0;
  bool exact = false;   // the host's places are wanted with their paths, not only known as such
};

// /proc/PID/fd/N of a supervised process where N is a carrier of an object.
struct DescriptorPath {
  Task* task;
  int fd;
  std::shared_ptr<File> file;
};

// Where such a path leads.
class DescriptorNode : public AnonymousNode {
 public:
  explicit DescriptorNode(DescriptorPath path) : AnonymousNode(kProcfs), path(std::move(path)) {}
  DescriptorPath path;
};
// Null: the place is no descriptor.
const DescriptorPath* descriptor_of(const Found& found);

// The tool's path: EFAULT, ENAMETOOLONG (kernel: getname).
Result<std::string> read_path(Task& task, u64 address);

// Where a path leads. For most paths of the host that takes one system call; those have no `path`, unless names below
// may be ours.
Result<Found> find(System& system, Task& task, int dirfd, const std::string& text, const How& how = {});
// The same for calls that change the folder above. `exact`: see How.
Result<Parent> find_parent(System& system, Task& task, int dirfd, const std::string& text, bool exact = false);
// The file or folder of ours behind a descriptor, or with AT_FDCWD the current folder: a place of the host for all others.
Found find_descriptor(System& system, Task& task, int fd);

// What a path call does: native when the path is the host's (rewritten when it leads there through ours), the error of
// looking it up, or `answer` for a place of ours. A bad pointer is left to the kernel.
using TargetHandler = Reply (*)(System& system, Call& call, const Found& target);
Reply on_target(System& system, Call& call, PathArgument argument, const How& how, TargetHandler answer);
// Does the call's AT_SYMLINK_NOFOLLOW, if it has one, let a last link be followed?
bool follows(const Call& call, PathArgument argument);
// AT_FDCWD when the call has no such argument.
int directory_of(const Call& call, PathArgument argument);

// Puts paths in the place of the call's path arguments, in the thread's scratch memory.
Reply redirect(Call& call, const std::vector<std::pair<PathArgument, std::string>>& paths);

}  // namespace bpfemu
