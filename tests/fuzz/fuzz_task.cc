// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_task.h"

#include <cstdio>
#include <cstring>

namespace bpfemu::fuzz {

Result<void> FuzzTask::read(u64 address, void* to, size_t size) {
  if (size == 0) return {};
  if (!memory_.holds(address, size)) return fail(EFAULT);
  std::memcpy(to, reinterpret_cast<const void*>(address), size);
  return {};
}

Result<void> FuzzTask::write(u64 address, const void* from, size_t size) {
  if (size == 0) return {};
  if (!memory_.holds(address, size)) return fail(EFAULT);
  if (!memory_.may_write(address, size)) {
    std::fprintf(stderr, "a write of %zu bytes goes beyond its buffer\n", size);
    ++violations;
  }
  std::memcpy(reinterpret_cast<void*>(address), from, size);
  return {};
}

}  // namespace bpfemu::fuzz
