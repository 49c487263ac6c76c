// SPDX-License-Identifier: Apache-2.0
// The congestion controls of TCP that programs implement (kernel: tcp_cong_list), beside those of the host's kernel, and
// the sockets that chose one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emu/base/object.h"
#include "emu/base/result.h"

namespace bpfemu {

struct CongestionControl {
  std::string name;
  u32 flags = 0;
  std::shared_ptr<Object> holder;  // the map that it was registered with
  u32* references = nullptr;       // of the holder: one for each socket, too
  bool everybody() const;          // those without CAP_NET_ADMIN, too, may choose it (kernel: TCP_CONG_NON_RESTRICTED)
};

class CongestionControls {
 public:
  // EEXIST: there is one of that name (kernel: tcp_register_congestion_control).
  Result<void> add(CongestionControl control);
  // Sockets that have it keep it.
  void remove(const Object& holder);
  // Does the host's kernel, or a program, have it (kernel: tcp_ca_find)?
  bool exists(std::string_view name) const;
  bool empty() const { return registered_.empty() && sockets_.empty(); }
  std::shared_ptr<CongestionControl> find(std::string_view name) const;
  // What /proc/sys/net/ipv4/tcp_available_congestion_control shows, and tcp_allowed_congestion_control.
  std::string available() const;
  std::string allowed() const;

  // A socket, by its inode, has it from now on; null: one of the host's.
  void choose(u64 socket, std::shared_ptr<CongestionControl> control);
  // A new connection has that of its listener (kernel: tcp_ca_openreq_child).
  void inherit(u64 listener, u64 connection);
  std::shared_ptr<CongestionControl> of(u64 socket) const;
  // Sockets that nobody has a descriptor of any longer let go of theirs.
  void forget_closed(const std::function<bool(u64 socket)>& is_open);

 private:
  std::vector<std::shared_ptr<CongestionControl>> registered_;
  std::unordered_map<u64, std::shared_ptr<CongestionControl>> sockets_;
};

}  // namespace bpfemu
