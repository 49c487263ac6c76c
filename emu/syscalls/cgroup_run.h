// SPDX-License-Identifier: Apache-2.0
// Running the programs that are attached to a cgroup, and to those above it, for a call of a task.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "emu/bpf/cgroup.h"
#include "emu/kernel/socket_facts.h"
#include "emu/runtime/contexts.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// What runs for a cgroup at a place, held: a link may go meanwhile.
std::vector<CgroupProgram> held_programs(const Cgroup& cgroup, u32 place);
// Runs them, in order. What the call is to return for them: 0 or a negative errno; `result` is what it is without them
// (kernel: bpf_prog_run_array_cg). `flags` gets the bits above the lowest of what they returned. `own_result`: the word
// of the context that stands for the call's result.
s64 run_programs(RunScope& scope, const std::vector<CgroupProgram>& programs, void* context, s32 result = 0,
                 u32* flags = nullptr, s32* own_result = nullptr);

// The programs of one attach type that run for a cgroup, and memory for their context.
class CgroupRun {
 public:
  // No task: the idle one.
  CgroupRun(System& system, Task* task, const Cgroup& cgroup, u32 attach_type);
  CgroupRun(System& system, Task& task, const Cgroup& cgroup, u32 attach_type)
      : CgroupRun(system, &task, cgroup, attach_type) {}
  ~CgroupRun();
  CgroupRun(const CgroupRun&) = delete;
  CgroupRun& operator=(const CgroupRun&) = delete;

  bool any() const { return !programs_.empty(); }
  // Zeroed memory of the arena, as long as this lives; null: there is none.
  template <class T>
  T* place(u64 more = 0) {
    return static_cast<T*>(allocate(sizeof(T) + more));
  }
  // As run_programs().
  s64 run(const SocketServices* services, void* context, s32 result = 0, u32* flags = nullptr,
          s32* own_result = nullptr);

 private:
  void* allocate(u64 size);

  System& system_;
  Task* task_;
  std::vector<CgroupProgram> programs_;
  Extent memory_;
};

// The socket that a call is about: a descriptor of the supervisor's own for it, and which cgroup made it.
class CgroupSocket {
 public:
  // None: it is no socket.
  static std::optional<CgroupSocket> of(System& system, Task& task, int fd);
  CgroupSocket(CgroupSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        facts_(std::move(other.facts_)),
        cgroup_(std::move(other.cgroup_)),
        system_(other.system_) {}
  ~CgroupSocket();

  int fd() const { return fd_; }
  const SocketFacts& facts() const { return facts_; }
  const Cgroup& cgroup() const { return *cgroup_; }
  bool internet() const { return facts_.internet(); }
  void show(RunSock& sock) const;
  // Helpers that act on the socket; as long as this stays where it is.
  SocketServices services();

 private:
  CgroupSocket(System& system, int fd, SocketFacts facts);
  s64 bind(const void* address, u32 size);

  int fd_;
  SocketFacts facts_;
  std::shared_ptr<Cgroup> cgroup_;
  System* system_;
};

}  // namespace bpfemu
