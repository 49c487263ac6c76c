// SPDX-License-Identifier: Apache-2.0
// The one cgroup hierarchy of the claimed kernel, and which of the traced threads are in which cgroup. It has nothing
// to do with the host's: root of the claimed kernel may make, fill and remove cgroups, which the host lets nobody do,
// and a cgroup's id, its folder and its members must agree. So everything begins in the root.
//
// There are no controllers, as on a kernel of which version 1 hierarchies have them all.
#pragma once

#include <bitset>
#include <functional>
#include <unordered_map>
#include <vector>

#include "emu/bpf/cgroup.h"
#include "emu/ports/host.h"

namespace bpfemu {

class Cgroups {
 public:
  explicit Cgroups(Host& host);
  ~Cgroups();

  const std::shared_ptr<Cgroup>& root() const { return root_; }
  // EAGAIN: more, or deeper ones, than some ancestor allows. `ids`: how many numbers its folder and files take.
  Result<std::shared_ptr<Cgroup>> make(const std::shared_ptr<Cgroup>& parent, const std::string& name, u64 ids);
  // EBUSY: it has members, or cgroups below it (kernel: cgroup_destroy_locked).
  Result<void> remove(Cgroup& cgroup);

  const std::shared_ptr<Cgroup>& of(pid_t tid) const;
  // Null: none has the id.
  std::shared_ptr<Cgroup> find(u64 id) const;
  // Moves a process with all its threads: ENODEV when the cgroup is gone.
  Result<void> move(pid_t tgid, const std::shared_ptr<Cgroup>& to);
  // Its own members, in order of their numbers.
  std::vector<pid_t> threads(const Cgroup& cgroup) const;
  std::vector<pid_t> processes(const Cgroup& cgroup) const;
  // Has it, or one below, a member?
  bool populated(const Cgroup& cgroup) const;

  // The cgroup that made a socket, by the socket's inode; the root for all that were not kept.
  std::shared_ptr<Cgroup> of_socket(u64 inode) const;
  void keep_socket(u64 inode, const std::shared_ptr<Cgroup>& cgroup);

  // How many descriptors traced processes have of it.
  size_t descriptors_of_socket(u64 inode) const;

  // A child begins where its parent is; the number of who is gone says nothing.
  void forked(pid_t parent, pid_t child);
  void executed(pid_t tid, pid_t old_tid);
  void gone(pid_t tid) { members_.erase(tid); }

  // The attach types that some program has been attached as: of all others nobody need look at a socket.
  std::bitset<64> used_types;

  // Called when one has been removed, before its folder goes.
  std::function<void(Cgroup&)> removed;
  // A process is about to come into a cgroup, because `writer` has written its number there.
  std::function<void(Task& writer, const Cgroup& to, pid_t tgid)> attaching;
  // A process has come into a cgroup below the root.
  std::function<void(Task&)> entered;

 private:
  Host& host_;
  std::shared_ptr<Cgroup> root_;
  u64 next_id_ = 23;                                            // behind the root's files and those of its controllers
  std::unordered_map<pid_t, std::shared_ptr<Cgroup>> members_;  // who is not in the root
  std::unordered_map<u64, std::shared_ptr<Cgroup>> sockets_;    // the same of sockets
  size_t sweep_at_ = 4096;  // so many sockets, and those that are gone are forgotten
};

}  // namespace bpfemu
