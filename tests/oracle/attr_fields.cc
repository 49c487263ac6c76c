// SPDX-License-Identifier: Apache-2.0
// Which fields of the attr each command knows: every four bytes in turn are set, all others are zero. What is not the
// command's own is refused before anything else; what is its own is looked at in the kernel's order.
#include <fcntl.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

constexpr int kCommands = 36;

// What is there when the question is asked decides the answer.
bool depends(int command, unsigned offset) {
  switch (command) {
    case BPF_PROG_GET_NEXT_ID:
    case BPF_MAP_GET_NEXT_ID:
    case BPF_BTF_GET_NEXT_ID:
    case BPF_LINK_GET_NEXT_ID: return offset < 12;
    case BPF_PROG_GET_FD_BY_ID:
    case BPF_MAP_GET_FD_BY_ID:
    case BPF_BTF_GET_FD_BY_ID:
    case BPF_LINK_GET_FD_BY_ID: return offset == 0;
    default: return false;
  }
}

}  // namespace

void ask_attr_fields() {
  int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);  // the descriptor that zero names
  for (int command = 0; command < kCommands; ++command) {
    for (unsigned offset = 0; offset < sizeof(bpf_attr); offset += 4) {
      if (depends(command, offset)) continue;
      bpf_attr attr{};
      memset(reinterpret_cast<u8*>(&attr) + offset, 1, 1);
      say("field/" + std::to_string(command) + " at " + std::to_string(offset), fd_text(bpf(command, attr)));
    }
  }
  for (int command = 0; command < kCommands; ++command) {
    for (unsigned size : {0u, 4u, 12u, 16u, 24u, 32u, 48u, 64u, 100u, 144u}) {
      if (depends(command, 0)) continue;
      bpf_attr attr;
      memset(&attr, 1, sizeof attr);
      say("ones/" + std::to_string(command) + " of " + std::to_string(size), fd_text(bpf(command, attr, size)));
    }
  }
  close(null);
}

}  // namespace oracle
