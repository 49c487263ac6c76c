// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/held_socket.h"

#include "emu/kernel/socket_view.h"

namespace bpfemu {

Result<std::shared_ptr<HeldSocket>> HeldSocket::create(Arena& arena, SocketRef socket) {
  std::shared_ptr<HeldSocket> held(new HeldSocket(arena, std::move(socket)));
  held->extent_ = TRY(arena.allocate(sizeof(RunSock)));
  held->show();
  return held;
}

void HeldSocket::show() { show_socket(socket_->facts, *reinterpret_cast<RunSock*>(extent_.address)); }

HeldSocket::~HeldSocket() {
  if (extent_.size) arena_.release(extent_);
}

}  // namespace bpfemu
