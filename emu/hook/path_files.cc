// SPDX-License-Identifier: Apache-2.0
// Calls on files.
#include <fcntl.h>
#include <linux/openat2.h>

#include <algorithm>
#include <cstring>

#include "emu/hook/paths.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

// The kernel's own O_LARGEFILE; user space's is 0 on x86-64.
constexpr u64 kLargeFile = 0100000;
constexpr u64 kPathFlags = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
constexpr u64 kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |
                           O_ASYNC | O_DIRECT | kLargeFile | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |
                           O_TMPFILE;
constexpr u64 kTmpFileBit = O_TMPFILE & ~O_DIRECTORY;
constexpr u64 kPageBytes = 4096;

// kernel: build_open_how.
open_how how_of(u64 flags, u64 mode) {
  open_how how{};
  how.flags = flags & kOpenFlags;
  how.mode = mode & 07777;
  if (how.flags & O_PATH) how.flags &= kPathFlags;
  if (!(how.flags & (O_CREAT | kTmpFileBit))) how.mode = 0;
  return how;
}

// kernel: copy_struct_from_user. What the kernel does not know must be zero.
bool read_how(Task& task, u64 address, u64 size, struct open_how& how) {
  if (size < sizeof how || size > kPageBytes) return false;
  std::array<u8, kPageBytes> given;
  if (!task.read(address, given.data(), size)) return false;
  memcpy(&how, given.data(), sizeof how);
  return std::all_of(given.begin() + sizeof how, given.begin() + static_cast<long>(size), [](u8 b) { return b == 0; });
}

// What each of the four calls asks do_sys_openat2 for.
struct Opening {
  u64 folder = static_cast<u64>(AT_FDCWD), name = 0;
  open_how how{};
};

// None: openat2 looks at its struct first, and goes no further when that is wrong.
std::optional<Opening> opening_of(const Transit& call) {
  Opening opening;
  switch (call.number()) {
    case SYS_open:
      opening.name = call.arg(0);
      opening.how = how_of(call.arg(1) | kLargeFile, call.arg(2));
      return opening;
    case SYS_creat:
      opening.name = call.arg(0);
      opening.how = how_of(O_CREAT | O_WRONLY | O_TRUNC | kLargeFile, call.arg(1));
      return opening;
    case SYS_openat:
      opening.how = how_of(call.arg(2) | kLargeFile, call.arg(3));
      break;
    default:
      if (!read_how(call.task(), call.arg(2), call.arg(3), opening.how)) return std::nullopt;
      if (!(opening.how.flags & O_PATH)) opening.how.flags |= kLargeFile;
  }
  opening.folder = call.arg(0);
  opening.name = call.arg(1);
  return opening;
}

auto same_arguments(const Transit& call) {
  return [&call](Arguments& a) {
    for (u32 n = 0; n < call.args().size(); ++n) a[n] = call.arg(n);
  };
}

}  // namespace

// open, openat, creat, openat2
Path opening(Transit& call) {
  const std::optional<Opening> wanted = opening_of(call);
  if (!wanted) co_return;
  const Passing do_sys_openat2 = call.enter(Hook::do_sys_openat2, [&](Arguments& a) {
    a[0] = wanted->folder;
    a[1] = wanted->name;
    a[2] = call.place(wanted->how);
  });
  do_sys_openat2.leave(co_await call.done());
}

// read
Path reading(Transit& call) {
  const Passing ksys_read = call.enter(Hook::ksys_read, same_arguments(call));
  SocketReceiving socket(call, static_cast<int>(call.arg(0)), {.size = call.arg(2)}, call.arg(1));
  const s64 result = co_await call.done();
  socket.done(result);
  ksys_read.leave(result);
}

// write
Path writing(Transit& call) {
  const Passing ksys_write = call.enter(Hook::ksys_write, same_arguments(call));
  SocketSending socket(call, static_cast<int>(call.arg(0)), {.size = call.arg(2)});
  const s64 result = co_await call.done();
  socket.done(result);
  ksys_write.leave(result);
}

// close
Path closing(Transit& call) {
  const Passing close_fd = call.enter(Hook::close_fd, same_arguments(call));
  SocketClosing socket(call, static_cast<int>(call.arg(0)));
  const s64 result = co_await call.done();
  close_fd.leave(result);
  socket.done(result);  // kernel: __fput runs when the call is left
}

// mmap: ksys_mmap_pgoff takes the offset in pages; others are refused before it.
Path mapping(Transit& call) {
  if (call.arg(5) % kPageBytes != 0) co_return;
  const Passing ksys_mmap_pgoff = call.enter(Hook::ksys_mmap_pgoff, [&](Arguments& a) {
    same_arguments(call)(a);
    a[5] = call.arg(5) / kPageBytes;
  });
  ksys_mmap_pgoff.leave(co_await call.done());
}

}  // namespace bpfemu
