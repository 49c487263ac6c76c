// SPDX-License-Identifier: Apache-2.0
#include "emu/vfs/vfs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxLinks = 40;  // kernel: MAXSYMLINKS
constexpr std::string_view kPrefixes[] = {"/sys/", "/proc/", "/boot/", "/lib/modules/", "/usr/lib/modules/"};

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

bool is_last(std::string_view rest) {
  return rest.find_first_not_of('/') == std::string_view::npos;
}

// Lexically normal: no ".", "..", "//".
std::string normal(std::string_view path) {
  std::string out;
  while (!is_last(path)) {
    std::string_view part = next_part(path);
    if (part == "..") {
      out.resize(out.empty() ? 0 : out.rfind('/'));
    } else if (part != ".") {
      out.append("/").append(part);
    }
  }
  return out.empty() ? "/" : out;
}

// FNV-1a, 32 bits as inode numbers of these file systems are.
u64 inode_of(std::string_view path) {
  u32 hash = 0x811c9dc5;
  for (unsigned char c : path) hash = (hash ^ c) * 0x01000193;
  return hash | 1;
}

}  // namespace

Vfs::Vfs(VfsWorld& world) : world_(world), root_(std::make_shared<Overlay>()), started_(::time(nullptr)) {
  place_tracefs(*this);
  place_sysfs(*this);
  place_procfs(*this);
  place_bpffs(*this);
  place_boot(*this);
}

Vfs::~Vfs() = default;

bool Vfs::concerns(std::string_view path) const {
  auto is_start = [&](std::string_view prefix) { return path.starts_with(prefix); };
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes), is_start) ||
         std::any_of(mounts_.begin(), mounts_.end(), is_start);
}

void Vfs::place(std::string_view path, NodePtr node) {
  std::shared_ptr<Directory> folder = root_;
  std::string walked;
  std::string_view part = next_part(path);
  for (; !is_last(path); part = next_part(path)) {
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

Result<Found> Vfs::lookup(std::string_view path, bool follow) {
  std::string walking = normal(path);
  bool moved = false;
  auto on_host = [&] { return Found{moved ? Found::Where::kElsewhere : Found::Where::kHost, nullptr, walking}; };
  for (u32 links = 0; links <= kMaxLinks; ++links) {
    NodePtr node = root_;
    std::string walked;
    std::string_view rest = walking;
    LinkNode* link = nullptr;
    while (!is_last(rest) && !link) {
      if (node->kind() != Node::Kind::kDirectory) return fail(ENOTDIR);
      auto& folder = static_cast<Directory&>(*node);
      if (!folder.overlay()) TRY(permits(folder, X_OK));
      std::string_view part = next_part(rest);
      auto child = folder.child(part);
      if (!child && folder.overlay()) return on_host();
      if (!child) return std::unexpected(child.error());
      if (!*child) return fail(ENOENT);
      node = *child;
      if (node->kind() == Node::Kind::kLink && (follow || !is_last(rest))) {
        link = static_cast<LinkNode*>(node.get());
      } else {
        walked.append("/").append(part);
      }
    }
    if (!link) {
      bool host_folder = node->kind() == Node::Kind::kDirectory && static_cast<Directory&>(*node).overlay();
      if (host_folder) return on_host();
      return Found{Found::Where::kOurs, node, walked};
    }
    std::string target = link->target();
    if (target[0] != '/') target = walked + "/" + target;
    walking = normal(target + std::string(rest));
    moved = true;
  }
  return fail(ELOOP);
}

Result<void> Vfs::permits(const Node& node, int mask) const {
  u32 bits = node.mode;
  if (world_.privileged) {
    // CAP_DAC_OVERRIDE; a file must be executable by somebody.
    bool executable = node.kind() == Node::Kind::kDirectory || (bits & 0111) != 0;
    if ((mask & X_OK) && !executable) return fail(EACCES);
    return {};
  }
  u32 allowed = node.uid == ::geteuid() ? bits >> 6 : node.gid == ::getegid() ? bits >> 3 : bits;
  if ((allowed & static_cast<u32>(mask)) != static_cast<u32>(mask)) return fail(EACCES);
  return {};
}

void Vfs::stat(const Found& found, struct stat& st) const {
  const Node& node = *found.node;
  st = {};
  u32 kind = node.kind() == Node::Kind::kDirectory ? S_IFDIR : node.kind() == Node::Kind::kLink ? S_IFLNK : S_IFREG;
  st.st_dev = makedev(0, node.type->minor);
  st.st_ino = node.ino != 0 ? node.ino : inode_of(found.path);
  st.st_mode = kind | node.mode;
  st.st_nlink = kind == S_IFDIR ? 2 : 1;
  st.st_uid = node.uid;
  st.st_gid = node.gid;
  st.st_size = static_cast<off_t>(node.size());
  st.st_blksize = 4096;
  st.st_atim.tv_sec = st.st_mtim.tv_sec = st.st_ctim.tv_sec = started_;
}

Result<Opened> Vfs::open(const Found& found, Task* task, int flags) {
  if (found.directory()) return fail(EISDIR);
  int access = flags & O_ACCMODE;
  int mask = (access != O_WRONLY ? R_OK : 0) | (access != O_RDONLY ? W_OK : 0);
  TRY(permits(*found.node, mask));
  if (found.pin()) {
    // A map with BTF could be read as text.
    if (found.pin()->object()->kind() == ObjectKind::kMap && access == O_RDONLY) {
      world_.unmodelled.note("reading a pinned map as a file");
    }
    return fail(EIO);
  }
  if (!found.file()) return fail(ELOOP);
  return found.file()->open(task, flags);
}

Result<Vfs::Parent> Vfs::parent_of(std::string_view path) {
  std::string whole = normal(path);
  size_t slash = whole.rfind('/');
  Found found = TRY(lookup(std::string_view(whole).substr(0, std::max<size_t>(slash, 1))));
  if (!found.ours()) return fail(EPERM);
  if (!found.directory()) return fail(ENOTDIR);
  return Parent{std::static_pointer_cast<Directory>(found.node), whole.substr(slash + 1)};
}

Result<void> Vfs::insert(std::string_view path, const std::function<NodePtr()>& make) {
  Parent parent = TRY(parent_of(path));
  auto existing = parent.directory->child(parent.name);
  if (existing) return fail(EEXIST);
  if (existing.error().value != ENOENT) return std::unexpected(existing.error());
  if (!parent.directory->writable()) return fail(EPERM);
  TRY(permits(*parent.directory, W_OK | X_OK));
  NodePtr node = make();
  node->uid = world_.privileged ? 0 : ::geteuid();
  node->gid = world_.privileged ? 0 : ::getegid();
  node->ino = ++last_inode_;
  parent.directory->add(parent.name, std::move(node));
  return {};
}

Result<void> Vfs::mkdir(std::string_view path, u32 mode) {
  return insert(path, [&] { return make_bpffs(mode); });
}

Result<void> Vfs::symlink(std::string_view target, std::string_view path) {
  return insert(path, [&] { return std::make_shared<LinkNode>(std::string(target), kBpffs); });
}

Result<void> Vfs::pin(std::string_view path, std::shared_ptr<Object> object) {
  return insert(path, [&] { return std::make_shared<PinNode>(0600, std::move(object)); });
}

Result<void> Vfs::remove(std::string_view path, bool directory) {
  Parent parent = TRY(parent_of(path));
  NodePtr node = TRY(parent.directory->child(parent.name));
  if (!parent.directory->writable()) return fail(EPERM);
  TRY(permits(*parent.directory, W_OK | X_OK));
  bool is_directory = node->kind() == Node::Kind::kDirectory;
  if (directory && !is_directory) return fail(ENOTDIR);
  if (!directory && is_directory) return fail(EISDIR);
  if (directory && !static_cast<Directory&>(*node).empty()) return fail(ENOTEMPTY);
  parent.directory->drop(parent.name);
  return {};
}

Result<void> Vfs::unlink(std::string_view path) {
  return remove(path, false);
}
Result<void> Vfs::rmdir(std::string_view path) {
  return remove(path, true);
}

// kernel: vfs_rename, simple_rename.
Result<void> Vfs::rename(std::string_view from, std::string_view to, u32 flags) {
  Parent source = TRY(parent_of(from)), destination = TRY(parent_of(to));
  NodePtr node = TRY(source.directory->child(source.name));
  if (source.directory->type != destination.directory->type) return fail(EXDEV);
  if (!source.directory->writable() || !destination.directory->writable()) return fail(EPERM);
  TRY(permits(*source.directory, W_OK | X_OK));
  TRY(permits(*destination.directory, W_OK | X_OK));
  if (normal(to).starts_with(normal(from) + "/")) return fail(EINVAL);
  auto existing = destination.directory->child(destination.name);
  if (!existing && existing.error().value != ENOENT) return std::unexpected(existing.error());
  if (existing && (flags & RENAME_NOREPLACE)) return fail(EEXIST);
  if (flags & ~u32{RENAME_NOREPLACE}) return fail(EINVAL);
  if (existing && *existing == node) return {};
  if (existing) {
    bool folder = node->kind() == Node::Kind::kDirectory, over_folder = (*existing)->kind() == Node::Kind::kDirectory;
    if (folder && !over_folder) return fail(ENOTDIR);
    if (!folder && over_folder) return fail(EISDIR);
    if (over_folder && !static_cast<Directory&>(**existing).empty()) return fail(ENOTEMPTY);
  }
  source.directory->drop(source.name);
  destination.directory->add(destination.name, std::move(node));
  return {};
}

Result<void> Vfs::mount(std::string_view type, std::string_view path) {
  // There is one tracefs and one debugfs, however often they are mounted.
  NodePtr root = type == "bpf"       ? make_bpffs()
                 : type == "tracefs" ? TRY(lookup(kTracefsMount)).node
                 : type == "debugfs" ? TRY(lookup(kDebugfsMount)).node
                                     : nullptr;
  if (!root) return fail(ENODEV);
  std::string folder = normal(path);
  auto found = lookup(folder);
  if (!found) return std::unexpected(found.error());
  // What is there already stays: the same file system over itself shows the same.
  if (found->directory() && found->directory()->type == root->type) return {};
  mounts_.push_back(folder);
  place(folder, std::move(root));
  return {};
}

std::vector<std::pair<std::string, const FileSystemType*>> Vfs::mounts() const {
  std::vector<std::pair<std::string, const FileSystemType*>> out{
      {kTracefsMount, &kTracefs}, {kDebugfsMount, &kDebugfs}, {kBpffsMount, &kBpffs}};
  for (const std::string& path : mounts_) {
    auto found = const_cast<Vfs*>(this)->lookup(path);
    if (found && found->ours()) out.emplace_back(path, found->node->type);
  }
  return out;
}

Result<std::shared_ptr<Object>> Vfs::pinned(std::string_view path, int access_mask) {
  Found found = TRY(lookup(path));
  if (!found.ours()) return fail(EACCES);
  TRY(permits(*found.node, access_mask));
  if (!found.pin()) return fail(EACCES);
  return found.pin()->object();
}

}  // namespace bpfemu
