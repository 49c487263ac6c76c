// SPDX-License-Identifier: Apache-2.0
// Calls that send and receive over sockets alone. Those of all files are in path_transfer.cc and
// path_splice.cc, with the same parts.
#include <sys/uio.h>

#include <algorithm>
#include <type_traits>

#include "emu/hook/paths.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

// A struct msghdr of the caller's: how much its vector holds, and where that begins. None: it cannot be read.
struct CallMessage {
  u64 size = 0, buffer = 0, name = 0, name_size = 0;

  Message to_send(u64 flags) const { return {size, static_cast<u32>(flags), name, name_size}; }

  static std::optional<CallMessage> read(Task& task, u64 address) {
    msghdr header;
    if (!task.read(address, &header, sizeof header)) return std::nullopt;
    const u64 vector = reinterpret_cast<u64>(header.msg_iov);
    const auto size = size_of_vector(task, vector, header.msg_iovlen);
    if (!size) return std::nullopt;
    iovec first{};
    if (header.msg_iovlen) (void)task.read(vector, &first, sizeof first);
    return CallMessage{*size, reinterpret_cast<u64>(first.iov_base), reinterpret_cast<u64>(header.msg_name),
                       header.msg_namelen};
  }
};

}  // namespace

// sendto
Path sending(Transit& call) {
  SocketSending part(call, static_cast<int>(call.arg(0)),
                     {call.arg(2), static_cast<u32>(call.arg(3)), call.arg(4), call.arg(5)});
  part.done(co_await call.done());
}

// sendmsg
Path sending_message(Transit& call) {
  const auto message = CallMessage::read(call.task(), call.arg(1));
  if (!message) co_return;
  SocketSending part(call, static_cast<int>(call.arg(0)), message->to_send(call.arg(2)));
  part.done(co_await call.done());
}

// recvfrom
Path receiving(Transit& call) {
  const Message message{.size = call.arg(2), .flags = static_cast<u32>(call.arg(3))};
  SocketReceiving part(call, static_cast<int>(call.arg(0)), message, call.arg(1));
  part.done(co_await call.done());
}

// recvmsg
Path receiving_message(Transit& call) {
  const auto message = CallMessage::read(call.task(), call.arg(1));
  if (!message) co_return;
  SocketReceiving part(call, static_cast<int>(call.arg(0)),
                       {.size = message->size, .flags = static_cast<u32>(call.arg(2))}, message->buffer);
  part.done(co_await call.done());
}

namespace {

constexpr u64 kHeaderBytes = 64, kLengthAt = 56;  // struct mmsghdr: a msghdr and what was moved

s64 length_of(Transit& call, u64 n) {
  u32 length = 0;
  (void)call.task().read(call.arg(1) + n * kHeaderBytes + kLengthAt, &length, sizeof length);
  return length;
}

// Each message goes the way of one; those behind the first are told when all have been moved.
template <class Part>
Path many_messages(Transit& call) {
  const int fd = static_cast<int>(call.arg(0));
  const u32 flags = static_cast<u32>(call.arg(3));
  const auto make = [&](u64 n) -> std::optional<Part> {
    const auto message = CallMessage::read(call.task(), call.arg(1) + n * kHeaderBytes);
    if (!message) return std::nullopt;
    if constexpr (std::is_same_v<Part, SocketReceiving>)
      return std::optional<Part>(std::in_place, call, fd, Message{.size = message->size, .flags = flags},
                                 message->buffer);
    else
      return std::optional<Part>(std::in_place, call, fd, message->to_send(flags));
  };
  if (call.arg(2) == 0) co_return;
  // Those behind the first have been moved when they are told.
  for (Hook hook : {Hook::security_socket_sendmsg, Hook::security_socket_recvmsg})
    if (call.arg(2) > 1 && call.decided(hook)) call.untold(hook);
  std::optional<Part> first = make(0);
  const s64 moved = co_await call.done();
  if (first) first->done(moved > 0 ? length_of(call, 0) : moved);
  for (s64 n = 1; n < moved; ++n)
    if (std::optional<Part> part = make(static_cast<u64>(n))) part->done(length_of(call, static_cast<u64>(n)));
}

}  // namespace

// sendmmsg
Path sending_messages(Transit& call) {
  return many_messages<SocketSending>(call);
}

// recvmmsg
Path receiving_messages(Transit& call) {
  return many_messages<SocketReceiving>(call);
}

}  // namespace bpfemu
