// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/socket_calls.h"

namespace bpfemu {

namespace {

// The socket and up to three plain numbers.
auto socket_arguments(Transit& call, const FollowedSocket& socket, u64 one, u64 two, u64 three) {
  return [&call, &socket, one, two, three](Arguments& a) {
    a[0] = sockets_of(call).socket(socket).address();
    a[1] = one;
    a[2] = two;
    a[3] = three;
  };
}

}  // namespace

Passing enter_socket(Transit& call, Hook hook, const FollowedSocket& socket, u64 one, u64 two, u64 three) {
  return call.enter(hook, socket_arguments(call, socket, one, two, three));
}

bool ask_socket(Transit& call, Hook hook, const FollowedSocket& socket, u64 one, u64 two, u64 three) {
  return call.ask(hook, socket_arguments(call, socket, one, two, three));
}

bool ask_sk_alloc(Transit& call, const FollowedSocket& socket, u32 gfp) {
  return call.ask(Hook::security_sk_alloc, [&](Arguments& a) {
    a[0] = sockets_of(call).sock(socket).address();
    a[1] = socket.facts.family;
    a[2] = gfp;
  });
}

}  // namespace bpfemu
