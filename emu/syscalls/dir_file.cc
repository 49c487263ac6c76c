// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/dir_file.h"

#include <dirent.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

// struct linux_dirent64 up to its name.
struct EntryHead {
  u64 ino;
  s64 offset;
  u16 length;
  u8 type;
} __attribute__((packed));

// Programs want inode numbers that are not zero; which ones does not matter for a listing.
u64 inode_of(const std::string& name) { return std::hash<std::string>()(name) >> 1 | 1; }

}  // namespace

DirectoryFile::DirectoryFile(Vfs& vfs, Found found, u32 flags) : vfs_(vfs), found_(std::move(found)) {
  open_flags = flags;
  mode = 1;
  entries_ = found_.directory()->list();
  std::sort(entries_.begin(), entries_.end(), [](auto& a, auto& b) { return a.name < b.name; });
  entries_.insert(entries_.begin(), {{".", DT_DIR}, {"..", DT_DIR}});
}

Result<std::vector<u8>> DirectoryFile::read(size_t size) {
  std::vector<u8> records;
  for (; position_ < entries_.size(); ++position_) {
    const DirEntry& entry = entries_[position_];
    u64 length = round_up(sizeof(EntryHead) + entry.name.size() + 1, 8);
    if (records.size() + length > size) {
      if (records.empty()) return fail(EINVAL);
      break;
    }
    EntryHead head{inode_of(entry.name), static_cast<s64>(position_ + 1), static_cast<u16>(length), entry.type};
    size_t at = records.size();
    records.resize(at + length);
    std::memcpy(&records[at], &head, sizeof head);
    std::memcpy(&records[at + sizeof head], entry.name.data(), entry.name.size());
  }
  return records;
}

}  // namespace bpfemu
