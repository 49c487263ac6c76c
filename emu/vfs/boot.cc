// SPDX-License-Identifier: Apache-2.0
// /boot and /lib/modules of the claimed release. Headers are the host's, if it has them installed for that release.
#include <linux/magic.h>
#include <unistd.h>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

const FileSystemType kDiskfs{"ext4", EXT4_SUPER_MAGIC, 1};

// Debian keeps what depends on the flavour and what does not in two folders.
std::string common_headers(const std::string& headers) {
  size_t dash = headers.rfind('-');
  std::string common = headers.substr(0, dash) + "-common";
  return ::access(common.c_str(), F_OK) == 0 ? common : headers;
}

}  // namespace

void place_boot(Vfs& vfs) {
  VfsWorld& world = vfs.world();
  const std::string& release = world.profile.release;
  auto config = std::make_shared<TextFile>(0644, kDiskfs, [&world] { return world.kernel.config(); });
  vfs.place("/boot/config-" + release, config);

  std::string headers = "/usr/src/linux-headers-" + release;
  if (::access(headers.c_str(), F_OK) != 0) return;
  for (std::string folder : {"/lib/modules/", "/usr/lib/modules/"}) {
    vfs.place(folder + release + "/build", std::make_shared<LinkNode>(headers, kDiskfs));
    vfs.place(folder + release + "/source", std::make_shared<LinkNode>(common_headers(headers), kDiskfs));
  }
}

}  // namespace bpfemu
