// SPDX-License-Identifier: Apache-2.0
// Calls on the address space.
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

constexpr u64 kPageBytes = 4096;

}  // namespace

// mmap: ksys_mmap_pgoff takes the offset in pages; others are refused before it.
Path mapping(Transit& call) {
  if (call.arg(5) % kPageBytes != 0) co_return;
  const Passing ksys_mmap_pgoff = call.enter(Hook::ksys_mmap_pgoff, [&](Arguments& a) {
    for (u32 n = 0; n < call.args().size(); ++n) a[n] = call.arg(n);
    a[5] = call.arg(5) / kPageBytes;
  });
  ksys_mmap_pgoff.leave(co_await call.done());
}

}  // namespace bpfemu
