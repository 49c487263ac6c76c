// SPDX-License-Identifier: Apache-2.0
// Calls on descriptors, handed to the file behind a carrier.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/map_mmap.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

// What F_SETFL can change (kernel: SETFL_MASK) but for O_DIRECT, which these files lack.
constexpr u32 kSettable = O_APPEND | O_NONBLOCK | O_NDELAY | O_NOATIME | O_ASYNC;

constexpr u64 kMaxPieces = 1024;  // UIO_MAXIOV

// Requests that every file has (kernel: do_vfs_ioctl); they work on the descriptor.
constexpr u64 kGenericRequests[] = {FIOCLEX, FIONCLEX, FIONBIO, FIOASYNC};

Reply set_flags(File& file, u32 flags) {
  if (flags & O_DIRECT) return Reply::answer(-EINVAL);
  file.open_flags = (file.open_flags & ~kSettable) | (flags & kSettable & ~u32{O_ASYNC});
  return Reply::native();  // the pipe's own flags follow
}

}  // namespace

Reply enter_fcntl(System& system, Call& call) {
  u32 command = static_cast<u32>(call.args[1]);
  constexpr u32 looked_at[] = {F_GETFL, F_SETFL, F_GETPIPE_SZ, F_SETPIPE_SZ};
  if (std::find(std::begin(looked_at), std::end(looked_at), command) == std::end(looked_at)) return Reply::native();
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file || file->is_native()) return Reply::native();
  switch (command) {
    case F_GETFL: return Reply::answer(s64{file->open_flags});
    case F_SETFL: return set_flags(*file, static_cast<u32>(call.args[2]));
    default: return Reply::answer(-EBADF);
  }
}

Reply enter_read(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file || (file->node() && !file->is_read())) return Reply::native();
  if (!(file->mode & kModeRead)) return Reply::answer(-EBADF);
  return Reply::answer(file->read(call.task, call.args[1], call.args[2]));
}

// One read after the other, until one gives less than it could (kernel: do_loop_readv_writev).
Reply enter_readv(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file || !file->is_read()) return Reply::native();
  if (!(file->mode & kModeRead)) return Reply::answer(-EBADF);
  if (call.args[2] > kMaxPieces) return Reply::answer(-EINVAL);
  std::vector<iovec> pieces(call.args[2]);
  if (!call.task.read(call.args[1], pieces.data(), pieces.size() * sizeof(iovec))) return Reply::answer(-EFAULT);
  u64 done = 0;
  for (const iovec& piece : pieces) {
    const auto part = file->read(call.task, reinterpret_cast<u64>(piece.iov_base), piece.iov_len);
    if (!part) return done ? Reply::answer(static_cast<s64>(done)) : Reply::answer(part);
    done += *part;
    if (*part != piece.iov_len) break;
  }
  return Reply::answer(static_cast<s64>(done));
}

Reply enter_ioctl(System& system, Call& call) {
  u64 request = static_cast<u32>(call.args[1]);
  auto* generic = std::find(std::begin(kGenericRequests), std::end(kGenericRequests), request);
  if (generic != std::end(kGenericRequests)) return Reply::native();
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file || (file->node() && file->node()->path_only())) return Reply::native();
  return Reply::answer(file->ioctl(system, call));
}

Reply enter_mmap(System& system, Call& call) {
  if (call.args[3] & MAP_ANONYMOUS) return Reply::native();
  auto file = system.files.ours(call.task, static_cast<int>(call.args[4]));
  if (!file || (file->node() && file->node()->path_only())) return Reply::native();
  auto address = file->mmap(system, call);
  if (address) system.files.hold(call.task, static_cast<int>(call.args[4]), *file);
  if (system.files.holds_many()) release_unmapped(system);
  return Reply::answer(address);
}

}  // namespace bpfemu
