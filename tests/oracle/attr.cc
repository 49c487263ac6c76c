// SPDX-License-Identifier: Apache-2.0
// The attr itself: sizes, tails, wrong pointers, unknown commands.
#include <sys/mman.h>

#include "tests/oracle/oracle.h"

namespace oracle {

void ask_attr() {
  for (int command : {-1, 36, 37, 100, 0x10000}) say("attr/unknown command " + std::to_string(command), bpf(command, {}));
  for (int command = 0; command < 36; ++command) {
    // All zero: what each command says first. Descriptor 0 is no object of bpf().
    if (command == BPF_BTF_GET_NEXT_ID || command == BPF_PROG_GET_NEXT_ID || command == BPF_MAP_GET_NEXT_ID ||
        command == BPF_LINK_GET_NEXT_ID || command == BPF_ENABLE_STATS || command == BPF_PROG_QUERY) {
      continue;  // depend on what is there
    }
    say("attr/zero " + std::to_string(command), fd_text(bpf(command, {})));
  }
  for (int command = 0; command < 36; ++command) {
    bpf_attr attr{};
    memset(&attr, 0xff, sizeof attr);
    say("attr/all ones " + std::to_string(command), fd_text(bpf(command, attr)));
  }

  struct {
    bpf_attr attr{};
    u8 tail[8192] = {};
  } big;
  big.attr = map_attr({BPF_MAP_TYPE_ARRAY});
  for (unsigned size : {0u, 1u, 4u, 8u, 16u, 20u, 72u, 128u, 144u, 152u, 200u, 4096u, 4097u, 8192u}) {
    say("attr/create with size " + std::to_string(size), fd_text(bpf_raw(BPF_MAP_CREATE, &big, size)));
  }
  big.tail[100] = 1;
  say("attr/create with something in the tail", fd_text(bpf_raw(BPF_MAP_CREATE, &big, 1024)));
  say("attr/create with something behind the tail", fd_text(bpf_raw(BPF_MAP_CREATE, &big, sizeof(bpf_attr) + 100)));
  say("attr/null", bpf_raw(BPF_MAP_CREATE, nullptr, sizeof(bpf_attr)));
  say("attr/null, size 0", bpf_raw(BPF_MAP_CREATE, nullptr, 0));
  say("attr/bad pointer", bpf_raw(BPF_MAP_CREATE, reinterpret_cast<void*>(8), sizeof(bpf_attr)));

  // The last byte before a hole can be read, the first in it cannot.
  auto* page = static_cast<u8*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(page + 4096, 4096);
  memcpy(page + 4096 - 20, &big.attr, 20);
  say("attr/ends at a hole", fd_text(bpf_raw(BPF_MAP_CREATE, page + 4096 - 20, 20)));
  say("attr/reaches into a hole", fd_text(bpf_raw(BPF_MAP_CREATE, page + 4096 - 20, 24)));
  munmap(page, 4096);
}

}  // namespace oracle
