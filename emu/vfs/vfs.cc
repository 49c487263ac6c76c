// SPDX-License-Identifier: Apache-2.0
#include "emu/vfs/vfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

constexpr u32 kFirstInstance = 64;  // device numbers of further bpffs, out of the way of the host's
constexpr std::string_view kPrefixes[] = {"/sys/", "/proc/", "/boot/", "/lib/modules/", "/usr/lib/modules/"};
// Where folders belong to that are in none of mount()'s places.
constexpr std::string_view kMounts[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing", "/sys/kernel/debug",
                                        "/sys/kernel/security", "/sys/fs/bpf", "/sys/fs/cgroup", "/sys", "/proc"};

// A folder that exists on the host and holds some entries of ours.
class Overlay : public Directory {
 public:
  Overlay() : Directory(0755, kSysfs) {}
  bool overlay() const override { return true; }
};

std::string_view next_part(std::string_view& path) {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  std::string_view part = path.substr(0, path.find('/'));
  path.remove_prefix(part.size());
  return part;
}

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

// FNV-1a, 32 bits as inode numbers of these file systems are.
u64 inode_of(std::string_view folder, std::string_view name) {
  u32 hash = 0x811c9dc5;
  auto add = [&](std::string_view text) {
    for (unsigned char c : text) hash = (hash ^ c) * 0x01000193;
  };
  add(folder);
  if (!name.empty()) add("/"), add(name);
  return hash | 1;
}

bool is_sysctl(std::string_view path) { return path.starts_with("/proc/sys/"); }

u32 format_of(const Node& node) {
  switch (node.kind()) {
    case Node::Kind::kDirectory: return S_IFDIR;
    case Node::Kind::kLink: return S_IFLNK;
    case Node::Kind::kAnonymous: return 0;
    default: return S_IFREG;
  }
}

u32 links_of(const Node& node) {
  if (node.kind() != Node::Kind::kDirectory || node.links == 0) return node.links;
  auto entries = const_cast<Directory&>(static_cast<const Directory&>(node)).list();
  auto folders = std::count_if(entries.begin(), entries.end(), [](const DirEntry& e) { return e.type == DT_DIR; });
  return 2 + static_cast<u32>(folders);
}

}  // namespace

Vfs::Vfs(VfsWorld& world) : world_(world), root_(std::make_shared<Overlay>()) {
  ::clock_gettime(CLOCK_REALTIME, &started_);
  place_tracefs(*this);
  place_sysfs(*this);
  place_procfs(*this);
  place_bpffs(*this);
  place_cgroupfs(*this);
  place_boot(*this);
  place_host_mounts(*this);
}

Vfs::~Vfs() = default;

bool Vfs::concerns(std::string_view path) const {
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes), [&](auto prefix) { return path.starts_with(prefix); }) ||
         std::any_of(mounts_.begin(), mounts_.end(), [&](auto& mount) { return is_below(path, mount.path); });
}

std::vector<std::string> Vfs::entrances() const {
  std::vector<std::string> paths(std::begin(kPrefixes), std::end(kPrefixes));
  for (const Mounted& mount : mounts_) paths.push_back(mount.path);
  return paths;
}

void Vfs::place(std::string_view path, NodePtr node) {
  std::shared_ptr<Directory> folder = root_;
  std::string walked;
  std::string_view part = next_part(path);
  for (; !path.empty(); part = next_part(path)) {
    walked.append("/").append(part);
    auto found = folder->child(part);
    if (!found || !*found || (*found)->kind() != Node::Kind::kDirectory) {
      bool on_host = folder->overlay() && ::access(walked.c_str(), F_OK) == 0;
      auto made = on_host ? std::make_shared<Overlay>() : std::make_shared<Directory>(0755, *folder->type);
      folder->add(std::string(part), made);
      folder = made;
    } else {
      folder = std::static_pointer_cast<Directory>(*found);
    }
  }
  folder->add(std::string(part), std::move(node));
}

NodePtr Vfs::at(std::string_view path) const {
  NodePtr node = root_;
  for (std::string_view part = next_part(path); !part.empty(); part = next_part(path)) {
    if (node->kind() != Node::Kind::kDirectory) return nullptr;
    auto child = static_cast<Directory&>(*node).child(part);
    if (!child || !*child) return nullptr;
    node = *child;
  }
  return node;
}

std::string_view Vfs::mount_of(std::string_view path) const {
  std::string_view longest = "/";
  auto consider = [&](std::string_view mount) {
    if (mount.size() > longest.size() && is_below(path, mount)) longest = mount;
  };
  for (std::string_view mount : kMounts) consider(mount);
  for (const Mounted& mount : mounts_) consider(mount.path);
  return longest;
}

Attributes Vfs::attributes(const Found& found) const {
  const Node& node = *found.node;
  auto it = node.ino == 0 ? changed_.find(found.path) : changed_.end();
  Attributes now = it != changed_.end() ? it->second : Attributes{node.mode, node.uid, node.gid, node.times};
  for (timespec* time : {&now.times.access, &now.times.modification, &now.times.change}) {
    if (time->tv_sec == 0 && time->tv_nsec == 0) *time = started_;
  }
  return now;
}

Ownership Vfs::ownership(const Found& found) const {
  Attributes now = attributes(found);
  return {now.mode, now.uid, now.gid, found.directory() != nullptr};
}

Result<void> Vfs::permits(const Credentials& who, const Found& found, int mask) const {
  if (!is_sysctl(found.path)) return bpfemu::permits(who, ownership(found), mask);
  Credentials bare{who.uid, who.gid, false, false, false, false};  // kernel: proc_sys_permission
  return bpfemu::permits(bare, ownership(found), mask);
}

Result<void> Vfs::change(const Credentials& who, const Found& found, const AttributeChange& change) {
  Attributes now = attributes(found);
  if (is_sysctl(found.path) && (change.mode || change.uid || change.gid)) return fail(EPERM);  // kernel: proc_sys_setattr
  bool owner = owns(who, ownership(found));
  bool same_owner = (!change.uid || *change.uid == now.uid) && (!change.gid || *change.gid == now.gid);
  if ((change.uid || change.gid) && !who.chown && !(owner && same_owner)) return fail(EPERM);
  if (change.mode && !owner) return fail(EPERM);
  if (change.access || change.modification) {
    if (!owner && change.needs_owner) return fail(EPERM);
    if (!owner) TRY(permits(who, found, W_OK));
  }
  if (found.link() && change.mode) return fail(EOPNOTSUPP);
  if (change.mode) now.mode = *change.mode & 07777;
  if (change.uid) now.uid = *change.uid;
  if (change.gid) now.gid = *change.gid;
  if ((change.uid || change.gid) && !found.directory()) now.mode &= ~u32{S_ISUID};
  if (change.access) now.times.access = *change.access;
  if (change.modification) now.times.modification = *change.modification;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now.times.change);
  if (found.node->ino == 0) {
    changed_[found.path] = now;
  } else {
    Node& node = *found.node;
    node.mode = now.mode;
    node.uid = now.uid;
    node.gid = now.gid;
    node.times = now.times;
  }
  return {};
}

u64 Vfs::inode(const Found& folder, std::string_view name) const {
  if (name.empty() && folder.node->ino) return folder.node->ino;
  if (auto child = folder.directory()->child(name); child && *child && (*child)->ino) return (*child)->ino;
  return inode_of(folder.path, name);
}

void Vfs::stat(const Found& found, struct stat& st) const {
  const Node& node = *found.node;
  Attributes now = attributes(found);
  st = {};
  st.st_dev = makedev(0, node.type->minor);
  st.st_ino = node.ino != 0 ? node.ino : inode_of(found.path, {});
  st.st_mode = format_of(node) | now.mode;
  st.st_nlink = links_of(node);
  st.st_uid = now.uid;
  st.st_gid = now.gid;
  st.st_size = static_cast<off_t>(node.size());
  st.st_blksize = 4096;
  st.st_atim = now.times.access;
  st.st_mtim = now.times.modification;
  st.st_ctim = now.times.change;
}

Result<Opened> Vfs::open(const Credentials& who, const Found& found, Task* task, int flags) {
  if (found.directory()) return fail(EISDIR);
  int access = flags & O_ACCMODE;
  bool writes = access != O_RDONLY || (flags & O_TRUNC);
  TRY(permits(who, found, (access != O_WRONLY ? R_OK : 0) | (writes ? W_OK : 0)));
  // sysfs minds that nobody at all may (kernel: KERNFS_ROOT_EXTRA_OPEN_PERM_CHECK).
  u32 mode = attributes(found).mode;
  bool refused = (access != O_RDONLY && !(mode & 0222)) || (access != O_WRONLY && !(mode & 0444));
  if (found.node->type == &kSysfs && refused) return fail(EACCES);
  if (found.pin()) {
    if (!world_.show_pin || !task) return fail(EIO);
    UniqueFd text = TRY(content_fd("bpfemu", TRY(world_.show_pin(*found.pin()->object(), *task))));
    return Opened{TRY(reopen(text.get(), access))};
  }
  if (!found.file()) return fail(ELOOP);
  return found.file()->open(task, flags);
}

Result<void> Vfs::mount(std::string_view type, const Found& folder, std::string_view root) {
  std::string path = std::string(root) + folder.path;
  NodePtr covered = at(path);
  NodePtr mounted;
  if (type == "bpf") {
    mounted = new_bpffs();
  } else if (type == "tracefs" || type == "debugfs" || type == "cgroup2") {
    // There is one of each, however often they are mounted; but not over itself.
    mounted = at(type == "tracefs" ? kTracefsMount : type == "debugfs" ? kDebugfsMount : kCgroupMount);
    if (covered == mounted) return fail(EBUSY);
  } else {
    return fail(ENODEV);
  }
  if (folder.ours() && !folder.directory()) return fail(ENOTDIR);
  cover(path, std::move(mounted), false);
  return {};
}

void Vfs::cover(const std::string& path, NodePtr node, bool of_host) {
  mounts_.push_back({path, at(path), of_host});
  ++revision_;
  place(path, std::move(node));
}

NodePtr Vfs::new_bpffs() {
  u32 minor = kFirstInstance + static_cast<u32>(instances_.size());
  instances_.push_back(std::make_unique<FileSystemType>(FileSystemType{kBpffs.name, kBpffs.magic, minor}));
  return make_bpffs_root(*instances_.back());
}

Result<void> Vfs::umount(const Found& folder, std::string_view root) {
  std::string path = std::string(root) + folder.path;
  auto last = std::find_if(mounts_.rbegin(), mounts_.rend(), [&](const Mounted& mount) { return mount.path == path; });
  if (last == mounts_.rend() || last->of_host) return fail(EINVAL);
  size_t slash = path.rfind('/');
  NodePtr above = at(std::string_view(path).substr(0, slash));
  if (above) {
    auto& entries = static_cast<Directory&>(*above);
    entries.drop(std::string_view(path).substr(slash + 1));
    if (last->covered) entries.add(path.substr(slash + 1), last->covered);
  }
  mounts_.erase(std::next(last).base());
  ++revision_;
  return {};
}

std::vector<std::pair<std::string, const FileSystemType*>> Vfs::mounts() const {
  std::vector<std::pair<std::string, const FileSystemType*>> out{
      {kTracefsMount, &kTracefs}, {kDebugfsMount, &kDebugfs}, {kBpffsMount, &kBpffs}, {kCgroupMount, &kCgroup2}};
  for (const Mounted& mount : mounts_) {
    if (NodePtr node = at(mount.path)) out.emplace_back(mount.path, node->type);
  }
  return out;
}

}  // namespace bpfemu
