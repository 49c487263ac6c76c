// SPDX-License-Identifier: Apache-2.0
// Paths in system calls: from the tool's memory to a place in the synthetic tree, to a descriptor of ours under
// /proc/PID/fd, or to the verdict that the call is none of our business.
#pragma once

#include <optional>
#include <string>

#include "emu/syscalls/call.h"
#include "emu/syscalls/files.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// Which argument registers of a call name a file.
struct PathArgument {
  int directory;   // index of the dirfd argument, -1: the current folder
  int path;        // index of the path argument
};

// /proc/PID/fd/N or /proc/PID/fdinfo/N of a supervised process where N is one of our carriers.
struct DescriptorPath {
  Task* task;
  int fd;
  std::shared_ptr<File> file;
  bool info;       // fdinfo
};

// The tool's path: EFAULT, ENAMETOOLONG (kernel: getname).
Result<std::string> read_path(Task& task, u64 address);

// Made absolute and with /proc/self and /proc/thread-self of the caller spelled out. None when it cannot concern us, which
// is found out without a system call for most absolute paths.
std::optional<std::string> our_path(System& system, Task& task, int dirfd, const std::string& path);
// The same for a path that names one of ours, whatever it is.
Result<std::string> absolute_path(System& system, Task& task, int dirfd, const std::string& path);

std::optional<DescriptorPath> descriptor_path(System& system, const std::string& absolute);

// Where a call's path leads. `descriptor` when it is a carrier's; else `found`.
struct Target {
  std::string path;                          // absolute
  std::optional<DescriptorPath> descriptor;
  Found found;
  bool ours() const { return descriptor || found.ours(); }
};

// What a path call does: native when the path is the host's (rewritten when another folder stands for it), the error of
// looking it up, or `answer` for a target of ours. A bad pointer is left to the kernel.
using TargetHandler = Reply (*)(System& system, Call& call, const Target& target);
Reply on_target(System& system, Call& call, PathArgument argument, bool follow, TargetHandler answer);
// The same when `text`, the path, has been read.
Reply on_target(System& system, Call& call, PathArgument argument, const std::string& text, bool follow,
                TargetHandler answer);
// AT_FDCWD when the call has no such argument.
int directory_of(const Call& call, PathArgument argument);

// Puts `path` in the place of the call's path argument, in the thread's scratch memory.
Reply redirect(Call& call, PathArgument argument, const std::string& path);

}  // namespace bpfemu
