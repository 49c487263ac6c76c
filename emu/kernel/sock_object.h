// SPDX-License-Identifier: Apache-2.0
// Sockets as the kernel's own struct sock, for programs that look at one through its BTF.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "emu/btf/btf.h"
#include "emu/runtime/contexts.h"

namespace bpfemu {

class SockObjects {
 public:
  // `vmlinux` may be null: then nothing is shown.
  explicit SockObjects(std::shared_ptr<const Btf> vmlinux) : btf_(std::move(vmlinux)) {}

  // Brings sock.object up to date. False: no BTF, or one whose struct sock is larger than there is room for.
  bool show(RunSock& sock);

 private:
  bool lay_out();

  std::shared_ptr<const Btf> btf_;
  std::vector<std::optional<u32>> offsets_;  // of the fields; empty until laid out
};

}  // namespace bpfemu
