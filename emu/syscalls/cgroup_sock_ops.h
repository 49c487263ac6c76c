// SPDX-License-Identifier: Apache-2.0
// sock_ops programs: they belong to cgroups, and what TCP does with the sockets of these calls them.
#pragma once

#include "emu/hook/socket_ops.h"
#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

struct RunSockOps;

class CgroupSockOps : public SocketOps {
 public:
  explicit CgroupSockOps(System& system) : system_(system) {}
  bool used() const override;
  s32 call(const Event& event, FollowedSocket& socket, const SocketOp& op) override;
  void born(FollowedSocket& listener, FollowedSocket& child) override;
  void accepted(Task& task, FollowedSocket& child, int fd) override;
  void process_ends(Task& task) override { end_in_cgroup(system_, task); }

 private:
  void show(FollowedSocket& socket, const SocketOp& op, RunSockOps& context);
  void note_unheeded(const SocketOp& op, s32 reply, u8 callbacks);

  System& system_;
};

}  // namespace bpfemu
