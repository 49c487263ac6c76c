// SPDX-License-Identifier: Apache-2.0
// A socket of the tree as programs hold it: in a map, or as what they looked up.
#pragma once

#include <map>
#include <memory>

#include "emu/arena/arena.h"
#include "emu/bpf/program.h"
#include "emu/kernel/sockets.h"
#include "emu/runtime/contexts.h"

namespace bpfemu {

class HeldSocket : public Object {
 public:
  // ENOMEM.
  static Result<std::shared_ptr<HeldSocket>> create(Arena& arena, SocketRef socket);
  ~HeldSocket() override;

  u64 runtime_address() const override { return extent_.address; }
  const SocketRef& socket() const { return socket_; }
  // Brought up to date.
  void show();

  // What maps of sockets that it came into have given it (kernel: sk_psock), by attach type.
  std::map<u32, std::shared_ptr<Object>> programs;
  u32 reuseport_array = 0;  // id of the one that it is in; it may be gone

 private:
  HeldSocket(Arena& arena, SocketRef socket) : Object(ObjectKind::kSocket), arena_(arena), socket_(std::move(socket)) {}

  Arena& arena_;
  SocketRef socket_;
  Extent extent_;
};

}  // namespace bpfemu
