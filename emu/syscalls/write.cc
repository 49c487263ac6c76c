// SPDX-License-Identifier: Apache-2.0
// Writes to synthetic files, which go to the node behind the descriptor. They stop only in processes that opened one for
// writing.
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <string>
#include <vector>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxWrite = 1 << 20;  // more than any of these files takes at once
constexpr u64 kMaxPieces = 1024;       // UIO_MAXIOV

// The bytes that a writev gathers.
Result<std::string> gather(Task& task, u64 address, u64 count) {
  if (count > kMaxPieces) return fail(EINVAL);
  std::vector<iovec> pieces(count);
  TRY(task.read(address, pieces.data(), count * sizeof(iovec)));
  std::string text;
  for (const iovec& piece : pieces) {
    size_t size = std::min(piece.iov_len, kMaxWrite - text.size());
    size_t at = text.size();
    text.resize(at + size);
    TRY(task.read(reinterpret_cast<u64>(piece.iov_base), text.data() + at, size));
  }
  return text;
}

Result<std::string> written(Call& call) {
  if (call.number == SYS_writev) return gather(call.task, call.args[1], call.args[2]);
  std::string text(std::min<u64>(call.args[2], kMaxWrite), '\0');
  TRY(call.task.read(call.args[1], text.data(), text.size()));
  return text;
}

}  // namespace

Reply enter_write(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file) return Reply::native();
  const bool writes = file->node() && (file->takes_writes() || !file->is_read());
  if (!writes) return Reply::answer(file->mode & kModeWrite ? -EINVAL : -EBADF);  // no file to write to
  if (!file->takes_writes()) return Reply::native();  // what is open by its path alone the kernel refuses
  auto text = written(call);
  if (!text) return Reply::answer(-s64{text.error().value});
  return Reply::answer(file->write(system, call.task, *text));
}

}  // namespace bpfemu
