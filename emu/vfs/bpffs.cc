// SPDX-License-Identifier: Apache-2.0
// bpffs: folders in memory, in which objects are pinned.
#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

class BpfDirectory : public Directory {
 public:
  explicit BpfDirectory(u32 mode) : Directory(mode, kBpffs) {}
  bool writable() const override { return true; }
  // Names with dots are reserved (kernel: bpf_lookup).
  Result<NodePtr> child(std::string_view name) override {
    auto found = Directory::child(name);
    if (!found && name.find('.') != std::string_view::npos) return fail(EPERM);
    return found;
  }
};

}  // namespace

std::shared_ptr<Directory> make_bpffs(u32 mode) {
  return std::make_shared<BpfDirectory>(mode);
}

void place_bpffs(Vfs& vfs) {
  vfs.place(kBpffsMount, make_bpffs());
}

}  // namespace bpfemu
