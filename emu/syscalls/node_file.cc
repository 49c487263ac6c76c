// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/node_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/syscalls/call.h"
#include "emu/syscalls/hidden.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

// struct linux_dirent64 up to its name.
struct EntryHead {
  u64 ino;
  s64 offset;
  u16 length;
  u8 type;
} __attribute__((packed));

u64 fd_argument(int fd) { return static_cast<u64>(fd); }

}  // namespace

std::string NodeFile::link_name() const {
  return found_.path + (found_.node->links == 0 ? " (deleted)" : "");
}

std::vector<TraceWhen> NodeFile::stops() const {
  std::vector<TraceWhen> when{TraceWhen::kOpeners};
  if (found_.directory()) when.push_back(TraceWhen::kHolders);
  if (writes_) when.push_back(TraceWhen::kWriters);
  return when;
}

Result<u64> NodeFile::write(System&, Task& task, std::string_view data) {
  if (!writes_ || !found_.file()) return fail(EBADF);
  return found_.file()->write(&task, data);
}

void NodeFile::moved(const std::string& from, const std::string& to) {
  bool below = found_.path == from || found_.path.starts_with(from + "/");
  if (below && found_.node->type->magic == kBpffs.magic) found_.path.replace(0, from.size(), to);
}

DirectoryFile::DirectoryFile(Vfs& vfs, Found found) : NodeFile(vfs, std::move(found)) { list(); }

void DirectoryFile::list() {
  Directory& directory = *found_.directory();
  entries_ = directory.list();
  if (!directory.ordered()) std::ranges::sort(entries_, {}, &DirEntry::name);
  entries_.insert(entries_.begin(), {{".", DT_DIR}, {"..", DT_DIR}});
}

Result<std::vector<u8>> DirectoryFile::read(size_t size) {
  if (found_.node->links == 0) return fail(ENOENT);
  std::vector<u8> records;
  for (; position_ < entries_.size(); ++position_) {
    const DirEntry& entry = entries_[position_];
    u64 length = round_up(sizeof(EntryHead) + entry.name.size() + 1, 8);
    if (records.size() + length > size) {
      if (records.empty()) return fail(EINVAL);
      break;
    }
    u64 inode = vfs_.inode(found_, position_ < 2 ? std::string_view() : entry.name);
    EntryHead head{inode, static_cast<s64>(position_ + 1), static_cast<u16>(length), entry.type};
    size_t at = records.size();
    records.resize(at + length);
    std::memcpy(&records[at], &head, sizeof head);
    std::memcpy(&records[at + sizeof head], entry.name.data(), entry.name.size());
  }
  return records;
}

// kernel: dcache_dir_lseek.
Result<u64> DirectoryFile::seek(s64 offset, u32 whence) {
  if (whence == SEEK_CUR) offset += static_cast<s64>(position_);
  if (whence > SEEK_CUR || offset < 0) return fail(EINVAL);
  if (offset == 0) list();
  position_ = static_cast<size_t>(offset);
  return position_;
}

Result<int> install_folder(System& system, Task& task, const Found& found, int flags) {
  UniqueFd folder = TRY(hidden_folder());
  auto file = std::make_shared<DirectoryFile>(*system.vfs, found);
  return system.files.install_native(task, std::move(file), folder.get(), flags & O_CLOEXEC);
}

// The task itself must open what it is to hold by O_PATH, since such a descriptor cannot be handed over: relative to the
// hidden folder, whose descriptor then gives way to it.
Result<int> install_path_only(System& system, Task& task, const Found& found, int flags) {
  mode_t kind = found.directory() ? S_IFDIR : found.link() ? S_IFLNK : S_IFREG;
  HiddenPlace place = TRY(HiddenPlace::make(kind));
  auto file = std::make_shared<NodeFile>(*system.vfs, found, true);
  system.files.enroll(task, place.id(), place.entry(), std::move(file));
  u64 name = TRY(task.scratch(sizeof HiddenPlace::kName));
  TRY(task.write(name, HiddenPlace::kName, sizeof HiddenPlace::kName));
  int folder = TRY(task.install_fd(place.folder(), true));
  u64 asked = static_cast<u64>(flags & (O_NOFOLLOW | O_DIRECTORY));
  auto opened = task.call(SYS_openat, {fd_argument(folder), name, O_PATH | O_CLOEXEC | asked});
  if (!opened) {
    TRY(task.call(SYS_close, {fd_argument(folder)}));
    return std::unexpected(opened.error());
  }
  TRY(task.call(SYS_dup3, {*opened, fd_argument(folder), static_cast<u64>(flags & O_CLOEXEC)}));
  TRY(task.call(SYS_close, {*opened}));
  return folder;
}

Result<void> enter_folder(System& system, Task& task, const Found& found) {
  UniqueFd folder = TRY(hidden_folder());
  auto file = std::make_shared<DirectoryFile>(*system.vfs, found);
  int fd = TRY(system.files.install_native(task, std::move(file), folder.get(), true));
  folder.reset();
  auto entered = task.call(SYS_fchdir, {fd_argument(fd)});
  TRY(task.call(SYS_close, {fd_argument(fd)}));
  if (!entered) return std::unexpected(entered.error());
  system.watch_inside(task);
  return {};
}

std::optional<Found> current_folder(System& system, Task& task) {
  if (!system.files.any_folders()) return std::nullopt;
  struct statx st;
  std::string cwd = "/proc/" + std::to_string(task.tid()) + "/cwd";
  // The folder may be one of a traced process' own file system, which must not be asked now.
  if (::statx(AT_FDCWD, cwd.c_str(), AT_STATX_DONT_SYNC, STATX_INO, &st) != 0) return std::nullopt;
  auto file = system.files.find(FileId{makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino});
  if (!file || !file->node()) return std::nullopt;
  return file->node()->found();
}

}  // namespace bpfemu
