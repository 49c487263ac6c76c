// SPDX-License-Identifier: Apache-2.0
// Calls that send and receive over sockets alone. Those of all files are in path_files.cc, with the same parts.
#include <sys/uio.h>

#include "emu/hook/paths.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

// A struct msghdr of the caller's: how much its vector holds, and where that begins. None: it cannot be read.
struct CallMessage {
  u64 size = 0, buffer = 0;

  static std::optional<CallMessage> read(Task& task, u64 address) {
    msghdr header;
    if (!task.read(address, &header, sizeof header)) return std::nullopt;
    const u64 vector = reinterpret_cast<u64>(header.msg_iov);
    const auto size = size_of_vector(task, vector, header.msg_iovlen);
    if (!size) return std::nullopt;
    iovec first{};
    if (header.msg_iovlen) (void)task.read(vector, &first, sizeof first);
    return CallMessage{*size, reinterpret_cast<u64>(first.iov_base)};
  }
};

}  // namespace

// sendto
Path sending(Transit& call) {
  SocketSending part(call, static_cast<int>(call.arg(0)), {call.arg(2), static_cast<u32>(call.arg(3))});
  part.done(co_await call.done());
}

// sendmsg
Path sending_message(Transit& call) {
  const auto message = CallMessage::read(call.task(), call.arg(1));
  if (!message) co_return;
  SocketSending part(call, static_cast<int>(call.arg(0)), {message->size, static_cast<u32>(call.arg(2))});
  part.done(co_await call.done());
}

// recvfrom
Path receiving(Transit& call) {
  const Message message{call.arg(2), static_cast<u32>(call.arg(3))};
  SocketReceiving part(call, static_cast<int>(call.arg(0)), message, call.arg(1));
  part.done(co_await call.done());
}

// recvmsg
Path receiving_message(Transit& call) {
  const auto message = CallMessage::read(call.task(), call.arg(1));
  if (!message) co_return;
  SocketReceiving part(call, static_cast<int>(call.arg(0)), {message->size, static_cast<u32>(call.arg(2))},
                       message->buffer);
  part.done(co_await call.done());
}

}  // namespace bpfemu
