// SPDX-License-Identifier: Apache-2.0
// bpffs: folders in memory, in which objects are pinned.
#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

class BpfDirectory : public NewestFirstFolder {
 public:
  using NewestFirstFolder::NewestFirstFolder;
  bool writable() const override { return true; }
  Result<NodePtr> make_folder(const std::string&, u32 folder_mode, u32, u32) override {
    return make_bpffs(folder_mode | (mode & S_ISGID), *type);
  }
  // Names with dots are reserved, but in a folder without any permission (kernel: bpf_lookup).
  Result<NodePtr> child(std::string_view name) override {
    auto found = Directory::child(name);
    if (!found && (mode & 07777) && name.find('.') != std::string_view::npos) return fail(EPERM);
    return found;
  }
};

}  // namespace

std::shared_ptr<Directory> make_bpffs(u32 mode, const FileSystemType& type) {
  return std::make_shared<BpfDirectory>(mode, type);
}

std::shared_ptr<Directory> make_bpffs_root(const FileSystemType& type) {
  auto root = make_bpffs(01777, type);
  root->ino = 1;
  return root;
}

void place_bpffs(Vfs& vfs) {
  vfs.place(kBpffsMount, make_bpffs_root(kBpffs));
}

}  // namespace bpfemu
