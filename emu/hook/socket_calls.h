// SPDX-License-Identifier: Apache-2.0
// What the paths of calls on sockets have in common: the socket as an argument, the address that the caller gives.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "emu/hook/transit.h"

namespace bpfemu {

constexpr u32 kUnconnected = 1;                       // kernel: SS_UNCONNECTED
constexpr u32 kGfpKernel = 0xcc0, kGfpAtomic = 0xa20;  // kernel: GFP_KERNEL, GFP_ATOMIC

// What a function that returns int leaves in rax.
inline u32 as_int(s64 result) {
  return static_cast<u32>(result);
}

inline Sockets& sockets_of(const Transit& call) {
  return call.services().sockets;
}

// A struct sockaddr of the caller's, as the kernel has copied it (kernel: move_addr_to_kernel).
struct CallAddress {
  sockaddr_storage name{};
  u64 size = 0, at = 0;

  static std::optional<CallAddress> read(Transit& call, u64 address, u64 size) {
    CallAddress copied;
    copied.size = static_cast<u32>(size);
    if (copied.size > sizeof copied.name) return std::nullopt;
    if (copied.size && !call.task().read(address, &copied.name, copied.size)) return std::nullopt;
    copied.at = call.place(copied.name);
    return copied;
  }
  u16 family() const { return size >= sizeof name.ss_family ? name.ss_family : u16{AF_UNSPEC}; }
  SocketEnd end() const { return SocketEnd::from(name); }
};

// A hook that is passed with the socket and up to three plain numbers.
Passing enter_socket(Transit& call, Hook hook, const FollowedSocket& socket, u64 one = 0, u64 two = 0, u64 three = 0);
// The same where the security modules are asked.
bool ask_socket(Transit& call, Hook hook, const FollowedSocket& socket, u64 one = 0, u64 two = 0, u64 three = 0);
// The modules are asked for a new sock (kernel: sk_prot_alloc).
bool ask_sk_alloc(Transit& call, const FollowedSocket& socket, u32 gfp);

}  // namespace bpfemu
