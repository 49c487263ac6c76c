// SPDX-License-Identifier: Apache-2.0
// The host's files as a task sees them, for the walk through both trees (namei.h).
#pragma once

#include <string>
#include <vector>

#include "emu/base/fd.h"
#include "emu/syscalls/system.h"
#include "emu/vfs/namei.h"

namespace bpfemu {

// The folder that is "/" to a task.
struct TaskRoot {
  std::string anchor;  // what leads there from ours: "", or "/proc/TID/root"
  std::string name;    // what the tree calls it: "" when it is ours, else nothing of the tree is below it that was not mounted there
  std::string path = "/";  // as links in /proc show it
};
TaskRoot root_of(System& system, const Task& task);

// Where a file system of a process (FUSE) is mounted for the task. A look into one might wait for a process that waits for
// us. They cannot have come without a mount that was seen, so most of the time this asks nobody.
std::vector<std::string> served_mounts(System& system, const Task& task);
bool is_served(const std::vector<std::string>& mounts, const std::string& path);

class TaskTree : public HostTree {
 public:
  TaskTree(System& system, Task& task, const TaskRoot& root)
      : system_(system), task_(task), root_(root), served_(served_mounts(system, task)) {}
  HostEntry look(const std::string& path) override;

 private:
  bool numbers_locally() const;
  HostEntry of_process(std::string_view rest, const std::string& path);
  HostEntry descriptor(Task& owner, std::string_view number, bool info, const std::string& path);
  HostEntry linked(const std::string& path) const;

  System& system_;
  Task& task_;
  const TaskRoot& root_;
  std::vector<std::string> served_;
};

// Is an absolute path the host's alone, so that the kernel may walk it by itself? kNo when that does not show at once.
// kEntrance: it is, but what lies below it may be ours.
enum class HostsAlone : u8 { kNo, kEntrance, kYes };
HostsAlone is_hosts_alone(const std::string& path, bool follow, const Vfs& vfs);

// The host's link at `path`, empty when it is none.
std::string link_text(const std::string& path);

}  // namespace bpfemu
