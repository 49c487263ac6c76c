// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "emu/vfs/node.h"

namespace bpfemu {

// The minors are those of a freshly started kernel; nothing depends on them but that they differ.
const FileSystemType kTracefs{"tracefs", TRACEFS_MAGIC, 12}, kDebugfs{"debugfs", DEBUGFS_MAGIC, 7},
    kSysfs{"sysfs", SYSFS_MAGIC, 21}, kProcfs{"proc", PROC_SUPER_MAGIC, 20}, kBpffs{"bpf", BPF_FS_MAGIC, 28},
    kSecurityfs{"securityfs", SECURITYFS_MAGIC, 6}, kCgroup2{"cgroup2", CGROUP2_SUPER_MAGIC, 26};

u8 Node::entry_type() const {
  return kind_ == Kind::kDirectory ? DT_DIR : kind_ == Kind::kLink ? DT_LNK : DT_REG;
}

Result<u64> FileNode::write(Task*, std::string_view) {
  return fail(EINVAL);
}

// A reader gets the content as of now. A writer's descriptor takes nothing by itself: the writes are answered.
Result<Opened> FileNode::open(Task* task, int flags) {
  int access = flags & O_ACCMODE;
  std::string content;
  if (access != O_WRONLY) content = TRY(read(task));
  UniqueFd file = TRY(content_fd("bpfemu", content));
  return Opened{TRY(reopen(file.get(), flags & (O_ACCMODE | O_NONBLOCK | O_APPEND))), access != O_RDONLY};
}

// A page, as sysfs says; the others say nothing.
u64 TextFile::size() const {
  return type == &kSysfs ? 4096 : 0;
}

// bpffs does not say.
u64 LinkNode::size() const {
  return type->magic == BPF_FS_MAGIC ? 0 : target_.size();
}

Result<u64> TextFile::write(Task*, std::string_view data) {
  if (!writer_) return fail(EINVAL);
  TRY(writer_(data));
  return data.size();
}

Result<NodePtr> Directory::child(std::string_view name) {
  auto it = entries_.find(name);
  if (it == entries_.end()) return fail(ENOENT);
  return it->second.node;
}

std::vector<DirEntry> Directory::list() {
  std::vector<DirEntry> entries;
  for (const auto& [name, entry] : entries_) {
    if (entry.node) entries.push_back({name, entry.node->entry_type()});
  }
  return entries;
}

std::vector<DirEntry> NewestFirstFolder::list() {
  std::vector<DirEntry> entries = Directory::list();
  const auto added = [&](const DirEntry& entry) { return entries_.find(entry.name)->second.added; };
  std::ranges::sort(entries, std::greater(), added);
  return entries;
}

Result<void> Directory::remove_folder(const std::string& name, Directory& folder) {
  if (!writable()) return fail(EPERM);
  if (!folder.empty()) return fail(ENOTEMPTY);
  drop(name);
  return {};
}

void Directory::add_text(std::string name, u32 mode, TextFile::Reader reader, TextFile::Writer writer) {
  add(std::move(name), std::make_shared<TextFile>(mode, *type, std::move(reader), std::move(writer)));
}

std::shared_ptr<Directory> Directory::add_folder(std::string name, u32 mode) {
  auto folder = std::make_shared<Directory>(mode, *type);
  add(std::move(name), folder);
  return folder;
}

Result<UniqueFd> content_fd(std::string_view name, std::string_view content) {
  UniqueFd fd(::memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail(errno);
  while (!content.empty()) {
    ssize_t written = ::write(fd.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail(written < 0 ? errno : EIO);
    content.remove_prefix(static_cast<size_t>(written));
  }
  ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return fd;
}

Result<UniqueFd> reopen(int fd, int access) {
  UniqueFd opened(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), access | O_CLOEXEC));
  if (!opened) return fail(errno);
  return opened;
}

}  // namespace bpfemu
