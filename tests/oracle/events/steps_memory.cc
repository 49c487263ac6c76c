// SPDX-License-Identifier: Apache-2.0
// Memory, and calls that are nobody's family.
#include "tests/oracle/events/steps.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/shm.h>
#include <sys/utsname.h>
#include <time.h>

namespace events {
namespace {

void mappings() {
  const long at = call(SYS_mmap, 0L, 8192L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  call(SYS_mprotect, at, 4096L, PROT_READ);
  call(SYS_madvise, at, 8192L, MADV_DONTNEED);
  call(SYS_mremap, at, 8192L, 4096L, 0, 0L);
  call(SYS_munmap, at, 4096L);
  call(SYS_mmap, 0L, 0L, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  call(SYS_munmap, 1L, 4096L);
  call(SYS_mprotect, 1L, 4096L, PROT_READ);
}

void file_mappings() {
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "mapped", O_RDWR | O_CREAT, 0600));
  call(SYS_ftruncate, fd, 4096L);
  const long shared = call(SYS_mmap, 0L, 4096L, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
  const long own = call(SYS_mmap, 0L, 4096L, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0L);
  call(SYS_msync, shared, 4096L, MS_ASYNC);
  call(SYS_munmap, shared, 4096L);
  call(SYS_munmap, own, 4096L);
  call(SYS_mmap, 0L, 4096L, PROT_READ, MAP_SHARED, 77, 0L);
  call(SYS_close, fd);
  call(SYS_unlink, "mapped");
}

void heap() {
  const long end = call(SYS_brk, 0L);
  call(SYS_brk, end + 1);
  call(SYS_brk, end + 3 * 4096);
  call(SYS_brk, end + 3 * 4096);
  call(SYS_brk, end);
  call(SYS_brk, 4096L);
  call(SYS_brk, -4096L);
}

void moved_mappings() {
  const long at = call(SYS_mmap, 0L, 16L << 12, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  call(SYS_munmap, at + (8L << 12), 8L << 12);
  call(SYS_mremap, at, 2L << 12, 3L << 12, 0, 0L);
  const long moved = call(SYS_mremap, at, 2L << 12, 12L << 12, MREMAP_MAYMOVE, 0L);
  call(SYS_mremap, moved, 12L << 12, 2L << 12, MREMAP_MAYMOVE | MREMAP_FIXED, at);
  call(SYS_mremap, at, 1L << 12, 1L << 12, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0L);
  call(SYS_mremap, at, 2L << 12, 2L << 12, MREMAP_MAYMOVE | MREMAP_FIXED, at);
  call(SYS_mremap, 4096L, 4096L, 8192L, MREMAP_MAYMOVE, 0L);
  call(SYS_mremap, at, 4096L, 0L, MREMAP_MAYMOVE, 0L);
  call(SYS_munmap, at, 8L << 12);
  call(SYS_mmap, 0L, 4096L, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0L);
}

void futexes() {
  u32 word = 1;
  const timespec little{0, 1'000'000}, wrong{0, -1};
  call(SYS_futex, &word, FUTEX_WAIT, 0, 0L, 0L, 0);
  call(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, &little, 0L, 0);
  call(SYS_futex, &word, FUTEX_WAIT, 1, &wrong, 0L, 0);
  call(SYS_futex, &word, FUTEX_WAKE, 1, 0L, 0L, 0);
  call(SYS_futex, &word, FUTEX_REQUEUE, 1, 2L, &word, 0);
  call(SYS_futex, &word, 99, 1, 2L, &word, 0);
}

void random_bytes() {
  char bytes[16];
  call(SYS_getrandom, bytes, sizeof bytes, 0);
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "/dev/urandom", O_RDONLY, 0));
  call(SYS_read, fd, bytes, sizeof bytes);
  call(SYS_close, fd);
  const int null = static_cast<int>(call(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0));
  call(SYS_write, null, "gone", 4);
  call(SYS_read, null, bytes, 4);
  call(SYS_close, null);
}

void others() {
  utsname names;
  call(SYS_uname, &names);
  call(SYS_memfd_create, "memory", 0);
  call(SYS_close, 0);
  call(SYS_eventfd2, 1, 0);
  u64 count;
  call(SYS_read, 0, &count, 8);
  call(SYS_close, 0);
  call(SYS_sysinfo, 0L);
}

constexpr Step kSteps[] = {
    {"mappings", mappings}, {"file mappings", file_mappings}, {"heap", heap}, {"moved mappings", moved_mappings},
    {"futexes", futexes}, {"random", random_bytes}, {"others", others},
};

}  // namespace

std::span<const Step> memory_steps() { return kSteps; }

}  // namespace events
