// SPDX-License-Identifier: Apache-2.0
// The netlink sockets through which network devices may be changed, and the processes that have them: what they send
// stops, and nobody else's. What the model answers there comes in the place of an acknowledgement that the host's kernel
// is asked for instead, so order, waiting and polling are the socket's own.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "emu/bpf/xdp.h"
#include "emu/ports/host.h"
#include "emu/syscalls/call.h"

namespace bpfemu {

// What a request of ours is to be answered with.
struct RtnetlinkAnswer {
  std::string request;  // as it was sent
  XdpRefusal result;    // error 0: done
};

// What a socket receives otherwise than from the host.
struct RtnetlinkSocket {
  std::deque<RtnetlinkAnswer> answers;  // in the place of acknowledgements that are on their way
  std::optional<u32> shown_network;     // devices of this network are shown with their programs
  bool is_changed() const { return !answers.empty() || shown_network; }
};

class Rtnetlink {
 public:
  explicit Rtnetlink(Host& host) : host_(host) {}

  void add(Task& task, int fd);
  bool contains(Task& task, int fd) const;
  // The same for one whose receives stop from now on, too. Null: it cannot be known.
  RtnetlinkSocket* change(Task& task, int fd);
  // Null: what it receives is what the host sends.
  RtnetlinkSocket* changed(Task& task, int fd);

 private:
  Host& host_;
  std::map<FileId, RtnetlinkSocket> sockets_;  // the kernel does not give the numbers of closed ones again soon
};

// Parts of calls that have other handlers as well; none: they leave the call as it is.
std::optional<Reply> send_rtnetlink(System& system, Call& call, std::string_view message);
std::optional<Reply> receive_rtnetlink(System& system, Call& call);

}  // namespace bpfemu
