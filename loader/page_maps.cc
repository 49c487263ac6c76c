// SPDX-License-Identifier: Apache-2.0
#include "loader/page_maps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "loader/proc_files.h"
#include "loader/space_memory.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr u64 kPresent = u64{1} << 63, kOfFile = u64{1} << 61, kExclusive = u64{1} << 56;  // kernel: PM_*

bool is_shared(pid_t tid, u64 address) {
  const Result<std::string> text = read_proc(tid, "maps");
  const std::vector<MapsLine> lines = text ? parse_maps(*text) : std::vector<MapsLine>();
  const auto line =
      std::ranges::find_if(lines, [=](const MapsLine& l) { return l.start <= address && address < l.end; });
  return line != lines.end() && line->shared;
}

// Of a private mapping's pages, those of the file are copied, and so are anonymous ones that others have, too, which
// the page of zeroes is.
bool is_copied_first(pid_t tid, u64 page, u64 entry) {
  return entry & kOfFile ? !is_shared(tid, page * kPage) : !(entry & kExclusive);
}

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

// Its entry.
Result<u64> PageMaps::present(int map, u64 page) {
  u64 entry = 0;
  const ssize_t size = ::pread(map, &entry, sizeof entry, static_cast<off_t>(page * sizeof entry));
  if (size != sizeof entry || !(entry & kPresent)) return fail(EFAULT);
  return entry;
}

Result<void> PageMaps::require(u64 memory, pid_t tid, u64 address, size_t size) {
  if (size == 0) return {};
  const int map = TRY(file(memory, tid));
  for (u64 page = address / kPage; page <= (address + size - 1) / kPage; ++page) TRY(present(map, page));
  return {};
}

Result<void> PageMaps::require_writable(u64 memory, pid_t tid, u64 address, size_t size) {
  if (size == 0) return {};
  const int map = TRY(file(memory, tid));
  for (u64 page = address / kPage; page <= (address + size - 1) / kPage; ++page)
    if (is_copied_first(tid, page, TRY(present(map, page)))) return fail(EFAULT);
  return {};
}

}  // namespace bpfemu
