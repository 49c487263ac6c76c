// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/file_facts.h"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <charconv>
#include <climits>
#include <memory>
#include <optional>
#include <vector>

#include "emu/base/proc_files.h"

namespace bpfemu {

namespace {

constexpr s32 kOwnMount = -1;  // the host's kernel gives no mount this id
constexpr std::string_view kDeleted = " (deleted)";

// File systems that the kernel mounts for itself, by what statfs says of them.
struct InternalType {
  u64 magic;
  const char* type;
};
constexpr InternalType kInternalTypes[] = {
    {PIPEFS_MAGIC, "pipefs"},       {SOCKFS_MAGIC, "sockfs"},  {ANON_INODE_FS_MAGIC, "anon_inodefs"},
    {TMPFS_MAGIC, "tmpfs"},         {NSFS_MAGIC, "nsfs"},      {BDEVFS_MAGIC, "bdev"},
    {HUGETLBFS_MAGIC, "hugetlbfs"}, {DMA_BUF_MAGIC, "dmabuf"},
};

std::string internal_type(u64 magic) {
  for (const InternalType& known : kInternalTypes)
    if (known.magic == magic) return known.type;
  return {};
}

// ENOENT of a path in /proc/PID means that the process or the descriptor is gone.
int proc_error(pid_t tgid, int missing) {
  return ::access(fmt::format("/proc/{}", tgid).c_str(), F_OK) == 0 ? missing : ESRCH;
}

Result<std::string> read_link(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  if (n < 0) return fail(errno);
  return std::string(target, static_cast<size_t>(n));
}

// Blanks and backslashes are written as \ooo (kernel: mangle_path).
std::string unescaped(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    u32 value = 0;
    if (text[i] == '\\' && text.size() - i > 3 &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8).ptr == text.data() + i + 4) {
      plain += static_cast<char>(value);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

template <class T>
T number(std::string_view text) {
  T value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    found.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return found;
}

bool is_read_only(std::string_view options) {
  return options == "ro" || options.starts_with("ro,");
}

// proc(5): id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options.
std::optional<MountFacts> parse_mount(std::string_view line) {
  const std::vector<std::string_view> field = words(line);
  size_t dash = 6;
  while (dash < field.size() && field[dash] != "-") ++dash;
  if (dash + 2 >= field.size()) return std::nullopt;
  MountFacts mount;
  mount.id = number<s32>(field[0]);
  mount.parent = number<s32>(field[1]);
  const size_t colon = std::min(field[2].find(':'), field[2].size() - 1);
  mount.dev = kernel_device(number<u32>(field[2].substr(0, colon)), number<u32>(field[2].substr(colon + 1)));
  mount.root = unescaped(field[3]);
  mount.point = unescaped(field[4]);
  mount.type = field[dash + 1].substr(0, field[dash + 1].find('.'));  // "fuse.sshfs" is fuse with a subtype
  mount.source = unescaped(field[dash + 2]);
  const std::string_view super_options = dash + 3 < field.size() ? field[dash + 3] : std::string_view();
  mount.read_only = is_read_only(field[5]) || is_read_only(super_options);
  return mount;
}

bool lies_under(std::string_view path, std::string_view folder) {
  if (folder == "/") return path.starts_with('/');
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

// `path` lies under `from`; the same below `to`. Each is absolute, and "/" alone ends in a slash.
std::string moved(std::string_view path, std::string_view from, std::string_view to) {
  std::string_view rest = from == "/" ? path : path.substr(from.size());
  if (rest == "/") rest = {};
  const std::string result = std::string(to == "/" ? std::string_view() : to) + std::string(rest);
  return result.empty() ? "/" : result;
}

// The dentry's name in a mount of the kernel's own. The link's text is made up (kernel: simple_dname and its like).
std::string internal_name(const std::string& proc_path, std::string_view text, u64 magic) {
  if (magic == SOCKFS_MAGIC) {
    char name[64];  // kernel: sockfs_xattr_get
    const ssize_t n = ::getxattr(proc_path.c_str(), "system.sockprotoname", name, sizeof name);
    return n > 0 ? std::string(name, static_cast<size_t>(n) - 1) : std::string();
  }
  if (text.starts_with("anon_inode:")) return std::string(text.substr(sizeof "anon_inode:" - 1));
  if (text.starts_with("/memfd:")) return std::string(text.substr(1));
  if (text.starts_with('/')) return std::string(text.substr(text.rfind('/') + 1));
  return {};
}

timespec time_of(const statx_timestamp& time) {
  return {time.tv_sec, time.tv_nsec};
}

InodeFacts inode_facts(const struct statx& st) {
  InodeFacts facts;
  facts.ino = st.stx_ino;
  facts.mode = st.stx_mode;
  facts.rdev = kernel_device(st.stx_rdev_major, st.stx_rdev_minor);
  facts.uid = st.stx_uid;
  facts.gid = st.stx_gid;
  facts.nlink = st.stx_nlink;
  facts.size = st.stx_size;
  facts.blocks = st.stx_blocks;
  facts.block_size = st.stx_blksize;
  facts.atime = time_of(st.stx_atime);
  facts.mtime = time_of(st.stx_mtime);
  facts.ctime = time_of(st.stx_ctime);
  return facts;
}
u32 device_of(const struct statx& st) {
  return kernel_device(st.stx_dev_major, st.stx_dev_minor);
}

// Of a served file what is known without asking who serves it.
int look(const std::string& path, int flags, struct statx* st) {
  return ::statx(AT_FDCWD, path.c_str(), flags | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, st);
}

}  // namespace

std::string MountFacts::host_path(std::string_view path) const {
  if (reach.empty() || !lies_under(path, root)) return {};
  return moved(path, root, reach);
}

std::optional<std::string> MountFacts::path_of(std::string_view shown) const {
  if (!lies_under(shown, point)) return std::nullopt;
  return moved(shown, point, root);
}

std::optional<InodeFacts> inode_at(const MountFacts& mount, std::string_view path) {
  const std::string host = mount.served() ? "" : mount.host_path(path);
  struct statx st;
  if (host.empty() || look(host, AT_SYMLINK_NOFOLLOW, &st) != 0) return std::nullopt;
  return inode_facts(st);
}

Result<DescriptorAccess> descriptor_access(pid_t tgid, int fd) {
  struct stat link;
  if (::lstat(fmt::format("/proc/{}/fd/{}", tgid, fd).c_str(), &link) != 0)
    return fail(errno == ENOENT ? proc_error(tgid, EBADF) : errno);
  return DescriptorAccess{(link.st_mode & S_IRUSR) != 0, (link.st_mode & S_IWUSR) != 0};
}

std::shared_ptr<const MountFacts> Mounts::mount(s32 id) const {
  const auto known = mounts_.find(id);
  return known == mounts_.end() ? nullptr : known->second.facts;
}

// Those of the task's namespace below those of our own, whose paths need no detour.
void Mounts::read_mounts(pid_t tgid) {
  std::erase_if(mounts_, [](const auto& known) { return !known.second.facts->internal; });
  auto read = [&](const Result<std::string>& text, const std::string& prefix) {
    if (!text) return;
    for (std::string_view rest = *text; !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      auto mount = parse_mount(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (!mount || mounts_.contains(mount->id)) continue;
      mount->reach = prefix + mount->point;
      mounts_[mount->id].facts = std::make_shared<MountFacts>(std::move(*mount));
    }
  };
  read(read_proc(::getpid(), "mountinfo"), "");
  read(read_proc(tgid, "mountinfo"), fmt::format("/proc/{}/root", tgid));
}

std::shared_ptr<const MountFacts> Mounts::mount_of(pid_t tgid, s32 id, u32 device, std::string_view path,
                                                   const std::string& proc_path) {
  // An id is used again. Where statx() tells of the super block's own device, another tells of another file system.
  auto fits = [&](const Known& known) {
    const bool plain = known.device == known.facts->dev;
    return (!plain || device == known.device) && (known.facts->internal || lies_under(path, known.facts->point));
  };
  auto known = mounts_.find(id);
  if (known == mounts_.end() || !fits(known->second)) {
    mounts_.erase(id);
    read_mounts(tgid);
    known = mounts_.find(id);
  }
  if (known != mounts_.end() && known->second.device) return known->second.facts;
  MountFacts mount;
  if (known != mounts_.end()) {
    mount = *known->second.facts;
  } else {
    mount.id = id;
    mount.dev = device;
    mount.internal = true;
    mount.root = mount.point = "/";
  }
  struct statfs fs = {};
  if (mount.served()) {
    fs.f_type = FUSE_SUPER_MAGIC;
  } else {
    (void)::statfs(proc_path.c_str(), &fs);
  }
  mount.magic = static_cast<u64>(fs.f_type);
  if (mount.internal) mount.type = mount.source = internal_type(mount.magic);
  auto facts = std::make_shared<const MountFacts>(std::move(mount));
  mounts_[id] = {facts, device};
  return facts;
}

// Where the host has a mount of this type at this place it is that one, else one on the host's next above it.
std::shared_ptr<const MountFacts> Mounts::mount_of(const OwnFile& file) {
  MountFacts mount;
  mount.id = kOwnMount;
  mount.dev = file.dev;
  mount.internal = file.type.empty();
  mount.type = mount.source = mount.internal ? internal_type(file.magic) : file.type;
  mount.root = "/";
  mount.point = mount.internal ? "/" : file.point;
  if (!mount.internal) {
    if (mounts_.empty()) read_mounts(::getpid());
    const MountFacts* above = nullptr;
    for (const auto& [id, known] : mounts_) {
      const MountFacts& there = *known.facts;
      if (!there.internal && lies_under(file.point, there.point) && (!above || there.point.size() >= above->point.size()))
        above = &there;
    }
    if (above && above->point == file.point && above->type == file.type)
      mount = *above;
    else if (above)
      mount.parent = above->id;
  }
  mount.magic = file.magic;
  return std::make_shared<const MountFacts>(std::move(mount));
}

Result<FileFacts> Mounts::describe_at(pid_t tgid, const std::string& proc_path) {
  struct statx st;
  if (look(proc_path, 0, &st) != 0) return fail(errno);
  auto text = read_link(proc_path);
  if (!text) return std::unexpected(text.error());
  FileFacts file;
  if (const auto mine = own ? own(makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino) : std::nullopt) {
    file.inode = mine->inode;
    file.deleted = mine->deleted;
    file.object = mine->object;
    file.mount = mount_of(*mine);
    file.path = file.mount->internal ? internal_name(proc_path, mine->text, file.mount->magic)
                                     : file.mount->path_of(mine->text).value_or(mine->text);
    return file;
  }
  file.inode = inode_facts(st);
  std::string_view path = *text;
  file.deleted = path.ends_with(kDeleted);
  // A name may end like this.
  if (struct statx there; file.deleted && st.stx_nlink && look(*text, AT_SYMLINK_NOFOLLOW, &there) == 0)
    file.deleted = there.stx_ino != st.stx_ino || device_of(there) != device_of(st);
  if (file.deleted) path.remove_suffix(kDeleted.size());
  file.mount = mount_of(tgid, static_cast<s32>(st.stx_mnt_id), device_of(st), path, proc_path);
  const MountFacts& mount = *file.mount;
  if (mount.internal)
    file.path = internal_name(proc_path, path, mount.magic);
  else
    file.path = mount.path_of(path).value_or(std::string(path));
  return file;
}

std::vector<int> open_descriptors(pid_t tid) {
  std::vector<int> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(fmt::format("/proc/{}/fd", tid).c_str()), ::closedir);
  if (!folder) return found;
  while (const dirent* entry = ::readdir(folder.get())) {
    int fd = -1;
    const std::string_view name = entry->d_name;
    if (std::from_chars(name.data(), name.data() + name.size(), fd).ec == std::errc()) found.push_back(fd);
  }
  return found;
}

Result<FileFacts> Mounts::describe(pid_t tgid, int fd) {
  // The first line has no newline before it.
  const std::string fields = "\n" + read_proc(tgid, fmt::format("fdinfo/{}", fd).c_str()).value_or("");
  auto file = describe_at(tgid, fmt::format("/proc/{}/fd/{}", tgid, fd));
  if (!file) return file.error().value == ENOENT ? fail(proc_error(tgid, EBADF)) : std::unexpected(file.error());
  file->tgid = tgid;
  file->fd = fd;
  file->flags = static_cast<u32>(status_field(fields, "flags", 8));
  file->pos = static_cast<s64>(status_field(fields, "pos", 10));
  const u32 access = file->flags & O_ACCMODE;
  const bool usable = !(file->flags & O_PATH);
  file->readable = usable && access != O_WRONLY;
  file->writable = usable && access != O_RDONLY;
  return file;
}

Result<FileFacts> Mounts::describe_link(pid_t tgid, const char* link) {
  auto file = describe_at(tgid, fmt::format("/proc/{}/{}", tgid, link));
  if (!file && file.error().value == ENOENT) return fail(proc_error(tgid, ENOENT));
  return file;
}

}  // namespace bpfemu
