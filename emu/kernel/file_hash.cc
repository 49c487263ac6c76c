// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/file_hash.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "emu/base/fd.h"
#include "emu/kernel/d_path.h"
#include "emu/kernel/sha256.h"

namespace bpfemu {

Result<std::array<u8, 32>> file_hash(const Arena& arena, ObjectSpace& space, const Task& task, u64 file) {
  const KernelObject object(file, space.structure("file"));
  const u64 path_at = object.address("f_path"), inode_at = object.address("f_inode");
  if (!path_at || !inode_at) return fail(EINVAL);
  const std::string path = TRY(d_path(arena, space, path_at));
  const KernelObject inode(load<u64>(reinterpret_cast<const void*>(inode_at)), space.structure("inode"));
  const u64 number_at = inode.address("i_ino");
  const UniqueFd fd(::open(fmt::format("/proc/{}/root{}", task.tid(), path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(errno);
  struct stat found;
  const bool same = number_at && ::fstat(fd.get(), &found) == 0 && S_ISREG(found.st_mode) &&
                    found.st_ino == load<u64>(reinterpret_cast<const void*>(number_at));
  if (!same) return fail(ENOENT);
  Sha256 hash;
  std::vector<u8> piece(1 << 16);
  for (ssize_t size; (size = ::read(fd.get(), piece.data(), piece.size())) > 0;)
    hash.add({piece.data(), static_cast<size_t>(size)});
  return hash.finish();
}

}  // namespace bpfemu
