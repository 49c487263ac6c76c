// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/hidden.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace bpfemu {

namespace {

// Memory first; some containers have only one of these writable.
constexpr const char* kPlaces[] = {"/dev/shm", "/tmp", "/var/tmp"};

Result<std::string> make_folder() {
  const char* chosen = ::getenv("TMPDIR");
  for (const char* place : {kPlaces[0], kPlaces[1], kPlaces[2], chosen}) {
    if (!place) continue;
    std::string path = std::string(place) + "/bpfemu-XXXXXX";
    if (!::mkdtemp(path.data())) continue;
    ::chmod(path.c_str(), 0755);  // tasks of other users enter it
    return path;
  }
  return fail(ENOMEM);
}

Result<UniqueFd> opened(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(errno);
  return fd;
}

}  // namespace

Result<UniqueFd> hidden_folder() {
  std::string path = TRY(make_folder());
  auto fd = opened(path);
  ::rmdir(path.c_str());
  return fd;
}

Result<HiddenPlace> HiddenPlace::make(mode_t kind) {
  std::string path = TRY(make_folder());
  auto folder = opened(path);
  if (!folder) {
    ::rmdir(path.c_str());
    return std::unexpected(folder.error());
  }
  HiddenPlace place(path, std::move(*folder));
  int at = place.folder();
  int made = kind == S_IFDIR   ? ::mkdirat(at, kName, 0755)
             : kind == S_IFLNK ? ::symlinkat(kName, at, kName)
                               : ::mknodat(at, kName, S_IFREG | 0644, 0);
  struct stat st;
  if (made != 0 || ::fstatat(at, kName, &st, AT_SYMLINK_NOFOLLOW) != 0) return fail(errno);
  place.id_ = FileId{st.st_dev, st.st_ino};
  return place;
}

HiddenPlace::HiddenPlace(HiddenPlace&& other) noexcept
    : path_(std::exchange(other.path_, {})), folder_(std::move(other.folder_)), id_(other.id_) {}

HiddenPlace::~HiddenPlace() {
  if (path_.empty()) return;
  if (::unlinkat(folder(), kName, 0) != 0) ::unlinkat(folder(), kName, AT_REMOVEDIR);
  ::rmdir(path_.c_str());
}

}  // namespace bpfemu
