// SPDX-License-Identifier: Apache-2.0
// The sockets of traced tasks, and those at the other end of their connections on this machine, as the model follows
// them: what they are, and how much of it programs were told.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "emu/kernel/socket_diag.h"
#include "emu/kernel/socket_objects.h"
#include "emu/ports/host.h"
#include "emu/ports/task.h"

namespace bpfemu {

class Cgroup;

// An option that a program has set of a connection of which nobody has a descriptor yet.
struct WaitingOption {
  int level = 0, name = 0;
  std::vector<u8> value, shown;  // as it was set, and as it is read again
};

struct FollowedSocket {
  SocketFacts facts;        // when it was looked at last
  u8 told = kTcpClose;      // programs know it in this state
  bool connecting = false;  // kernel: SS_CONNECTING, the next connect() asks how it went
  bool closed = false;      // its last descriptor is (kernel: SOCK_DEAD)
  bool connected = false;   // it sent a SYN, which counts as a byte
  bool fresh = true;        // a connection's birth is still to be told
  u32 calls = 0;            // that are under way, and tell of it when they are over

  // Of programs of cgroups.
  std::shared_ptr<Cgroup> cgroup;      // that made it, once it was asked for
  u8 callbacks = 0;                    // BPF_SOCK_OPS_*_CB_FLAG that are set (kernel: bpf_sock_ops_cb_flags)
  u64 listener = 0;                    // whose connection it is, by its inode
  std::vector<WaitingOption> options;  // until it is accepted

  // Segments that it has received, and bytes that it has sent, since this was asked last; at first: none.
  u32 take_segments();
  u64 take_sent();
  // The state of its congestion control, when it has changed.
  std::optional<u8> take_congestion();
  // Segments of its own that the other end has told it has.
  u32 take_delivered();
  std::optional<u32> told_segments;
  std::optional<u8> told_congestion;
  std::optional<u64> told_sent;
  std::optional<u32> told_delivered;
  bool fin_delivered = false;  // its FIN is among these
};
// Whoever stands aside meanwhile holds it.
using SocketRef = std::shared_ptr<FollowedSocket>;

// A call on a socket is under way.
class SocketInUse {
 public:
  SocketInUse() = default;
  explicit SocketInUse(SocketRef socket) : socket_(std::move(socket)) {
    if (socket_) ++socket_->calls;
  }
  SocketInUse(SocketInUse&& other) noexcept : socket_(std::move(other.socket_)) {}
  SocketInUse& operator=(SocketInUse&& other) noexcept {
    std::swap(socket_, other.socket_);
    return *this;
  }
  ~SocketInUse() {
    if (socket_) --socket_->calls;
  }

 private:
  SocketRef socket_;
};

class Sockets {
 public:
  Sockets(ObjectSpace& space, const Symbols* symbols) : space_(space), objects_(space, symbols) {}

  // Behind a descriptor of the task's. Null: there is no socket behind it, or the host does not let us look.
  SocketRef behind(Task& task, int fd);
  // The TCP socket with these ends, in the network of the task. Null: there is none on this machine.
  SocketRef connected(Task& task, u16 family, const SocketEnd& local, const SocketEnd& peer);
  SocketRef listener(Task& task, u16 family, const SocketEnd& local);
  SocketRef peer_of(Task& task, const FollowedSocket& socket) {
    return connected(task, socket.facts.family, socket.facts.peer, socket.facts.local);
  }
  // What became of it, where nobody has to have a descriptor of it: its state, TCP_INFO as long as there is one, and
  // its inode. kTcpClose: it is no more. `task` may be null when its network was asked before.
  SocketFacts look_again(Task* task, const FollowedSocket& socket);
  // All TCP sockets on their way between LISTEN and CLOSE, as programs know them.
  std::vector<SocketRef> connections() const;
  // Connections to a listener that nobody has accepted.
  std::vector<SocketRef> waiting_at(const FollowedSocket& listener) const;
  // The address that a connection of the task's to `peer` comes from; all 0: there is no route.
  SocketEnd source_for(Task& task, const sockaddr_storage& peer, socklen_t size);
  // The UDP socket that gets what `peer` sends to `local`, as `connected`.
  SocketRef receiver(Task& task, u16 family, const SocketEnd& local, const SocketEnd& peer);
  // The process's own, by its inode. Null: it has no descriptor of it.
  SocketRef of_inode(Task& process, u64 inode);
  // A descriptor of the supervisor's own for a socket that some traced process has one of; none otherwise.
  static UniqueFd descriptor_of(Host& host, u64 inode);
  // All that the process has.
  std::vector<SocketRef> of_process(Task& task);
  // The one whose struct sock is at `address`; null: none that is followed.
  SocketRef at(u64 address) const;
  // How many connections a listener may have waiting: net.core.somaxconn of our own network.
  static u32 most_waiting();
  // The first port that anybody may bind: net.ipv4.ip_unprivileged_port_start of it.
  static u32 first_free_port();
  // Has a process of `tree` a descriptor of it?
  static bool held_by(const std::vector<pid_t>& tree, const FollowedSocket& socket);
  // The inodes of all that the processes have.
  static std::set<u64> inodes_of(const std::vector<pid_t>& tree);
  // The cookies of all that a process of the tree has, and of those that are followed and go on without a descriptor.
  std::set<u64> living(Host& host) const;
  // Its last descriptor is closed and it has come to its end.
  void forget(const FollowedSocket& socket);

  // Its struct sock and struct socket, in the state that programs know.
  KernelObject sock(const FollowedSocket& socket) { return objects_.sock(as_told(socket)); }
  KernelObject socket(const FollowedSocket& socket) { return objects_.socket(as_told(socket)); }
  SocketObjects& objects() { return objects_; }
  // The cgroup that made a socket, by its inode; unset: nobody knows.
  std::function<std::shared_ptr<Cgroup>(u64 inode)> cgroup_of;

 private:
  SocketFacts as_told(const FollowedSocket& socket);
  // `partly`: sock_diag tells less than a descriptor.
  SocketRef follow(SocketFacts facts, bool partly);
  SocketDiag* diag(Task* task, u32 network);

  static constexpr size_t kMost = 16384, kMostNetworks = 64;
  ObjectSpace& space_;
  SocketObjects objects_;
  std::unordered_map<u64, SocketRef> by_cookie_;
  std::map<u32, SocketDiag> networks_;  // by the inode of the network namespace
  u64 device_ = 0;                      // of all sockets' inodes; 0: not yet asked
};

}  // namespace bpfemu
