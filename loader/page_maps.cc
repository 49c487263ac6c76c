// SPDX-License-Identifier: Apache-2.0
#include "loader/page_maps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr u64 kPresent = u64{1} << 63;

}  // namespace

Result<int> PageMaps::file(u64 memory, pid_t tid) {
  const auto known = std::ranges::find(open_, memory, &Open::memory);
  if (known != open_.end()) return known->file.get();
  UniqueFd file(::open(fmt::format("/proc/{}/pagemap", tid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(errno);
  Open& oldest = open_[next_++ % open_.size()];
  oldest = {memory, std::move(file)};
  return oldest.file.get();
}

Result<void> PageMaps::require(u64 memory, pid_t tid, u64 address, size_t size) {
  if (size == 0) return {};
  const int map = TRY(file(memory, tid));
  for (u64 page = address / kPage; page <= (address + size - 1) / kPage; ++page) {
    u64 entry = 0;
    if (::pread(map, &entry, sizeof entry, static_cast<off_t>(page * sizeof entry)) != sizeof entry || !(entry & kPresent))
      return fail(EFAULT);
  }
  return {};
}

}  // namespace bpfemu
