// SPDX-License-Identifier: Apache-2.0
// The calls that make, move and remove entries (kernel: vfs_mkdir and its kin, simple_rename, bpf_mkobj_ops). Errors come
// in the kernel's order.
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <unistd.h>

#include <ctime>

#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

void touch(Node& node, bool modified = true) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  node.times.change = now;
  if (modified) node.times.modification = now;
}

bool is_folder(const Found& found) { return found.directory() != nullptr; }

bool is_below(const std::string& path, const std::string& folder) { return path.starts_with(folder + "/"); }

}  // namespace

std::string Parent::path() const { return (folder.path == "/" ? "" : folder.path) + "/" + name; }

Result<Found> Parent::entry() const {
  NodePtr node = folder.ours() ? folder.node : overlay;
  if (!node || node->kind() != Node::Kind::kDirectory) return fail(ENOENT);
  if (name.size() > NAME_MAX) return fail(ENAMETOOLONG);
  NodePtr child = TRY(static_cast<Directory&>(*node).child(name));
  if (!child) return fail(ENOENT);
  return Found{Found::Where::kOurs, std::move(child), path()};
}

// kernel: filename_create, may_create.
Result<void> Vfs::may_create(const Credentials& who, const Parent& at, bool folder) const {
  if (at.last != Parent::Last::kName) return fail(EEXIST);
  auto existing = at.entry();
  if (existing) return fail(EEXIST);
  if (existing.error().value != ENOENT) return std::unexpected(existing.error());
  if (at.slash && !folder) return fail(ENOENT);
  if (!at.folder.ours()) return fail(EPERM);
  if (at.folder.node->links == 0) return fail(ENOENT);
  return permits(who, at.folder, W_OK | X_OK);
}

// kernel: may_delete.
Result<Found> Vfs::may_delete(const Credentials& who, const Parent& at, bool folder) const {
  Found victim = TRY(at.entry());
  if (at.folder.ours()) TRY(permits(who, at.folder, W_OK | X_OK));
  if (victim.path.starts_with("/proc/sys/")) return fail(EACCES);  // whose folders nobody may write to
  Ownership above = at.folder.ours() ? ownership(at.folder) : Ownership{0755, 0, 0, true};
  bool sticky = (above.mode & S_ISVTX) && who.uid != above.uid && who.uid != ownership(victim).uid;
  if (sticky && !who.fowner) return fail(EPERM);
  if (folder && !is_folder(victim)) return fail(ENOTDIR);
  if (folder && is_mount(victim.path)) return fail(EBUSY);
  if (!folder && is_folder(victim)) return fail(EISDIR);
  return victim;
}

Result<void> Vfs::insert(const Credentials& who, const Parent& at, NodePtr node) {
  Directory& folder = *at.folder.directory();
  Attributes above = attributes(at.folder);
  node->uid = who.uid;
  node->gid = above.mode & S_ISGID ? above.gid : who.gid;
  if (!node->ino) node->ino = ++last_inode_;
  touch(*node);
  node->times.access = node->times.change;
  folder.add(at.name, std::move(node));
  touch(folder);
  return {};
}

Result<void> Vfs::mkdir(const Credentials& who, const Parent& at, u32 mode) {
  TRY(may_create(who, at, true));
  return insert(who, at, TRY(at.folder.directory()->make_folder(at.name, mode, who.uid, who.gid)));
}

Result<void> Vfs::symlink(const Credentials& who, std::string_view target, const Parent& at) {
  TRY(may_create(who, at, false));
  if (!at.folder.directory()->writable()) return fail(EPERM);
  return insert(who, at, std::make_shared<LinkNode>(std::string(target), *at.folder.node->type));
}

// No file system of ours makes other files than its own.
Result<void> Vfs::mknod(const Credentials& who, const Parent& at, u32 mode) {
  u32 format = mode & S_IFMT;
  bool device = format == S_IFCHR || format == S_IFBLK;
  bool known = device || format == S_IFIFO || format == S_IFSOCK || format == S_IFREG || format == 0;
  if (!known) return fail(format == S_IFDIR ? EPERM : EINVAL);
  TRY(may_create(who, at, false));
  return fail(format == S_IFREG || format == 0 ? EACCES : EPERM);
}

Result<void> Vfs::link(const Credentials& who, const Found& what, const Parent& at) {
  TRY(may_create(who, at, false));
  if (what.node->type != at.folder.node->type) return fail(EXDEV);
  Directory& folder = *at.folder.directory();
  if (!folder.writable() || what.directory()) return fail(EPERM);
  ++what.node->links;
  touch(*what.node, false);
  folder.add(at.name, what.node);
  touch(folder);
  return {};
}

Result<void> Vfs::pin(const Credentials& who, const Parent& at, std::shared_ptr<Object> object) {
  if (!at.folder.ours()) return fail(EPERM);
  TRY(may_create(who, at, false));
  if (!at.folder.directory()->writable()) return fail(EPERM);
  auto node = std::make_shared<PinNode>(0600, std::move(object));
  node->type = at.folder.node->type;
  return insert(who, at, std::move(node));
}

Result<std::shared_ptr<Object>> Vfs::pinned(const Credentials& who, const Found& found, int access_mask) const {
  if (!found.ours() || found.anonymous()) return fail(EACCES);
  TRY(permits(who, found, access_mask));
  if (!found.pin()) return fail(EACCES);
  return found.pin()->object();
}

Result<void> Vfs::remove(const Credentials& who, const Parent& at, bool folder) {
  Found victim = TRY(may_delete(who, at, folder));
  if (!at.folder.ours()) return fail(EPERM);
  Directory& above = *at.folder.directory();
  if (folder) {
    TRY(above.remove_folder(at.name, *victim.directory()));
  } else {
    if (!above.writable()) return fail(EPERM);
    above.drop(at.name);
  }
  victim.node->links = folder ? 0 : victim.node->links - 1;
  touch(*victim.node, false);
  touch(above);
  return {};
}

// kernel: do_unlinkat.
Result<void> Vfs::unlink(const Credentials& who, const Parent& at) {
  if (at.last != Parent::Last::kName) return fail(EISDIR);
  if (at.slash) return fail(is_folder(TRY(at.entry())) ? EISDIR : ENOTDIR);
  return remove(who, at, false);
}

// kernel: do_rmdir.
Result<void> Vfs::rmdir(const Credentials& who, const Parent& at) {
  switch (at.last) {
    case Parent::Last::kDot: return fail(EINVAL);
    case Parent::Last::kDotDot: return fail(ENOTEMPTY);
    case Parent::Last::kRoot: return fail(EBUSY);
    default: return remove(who, at, true);
  }
}

// kernel: do_renameat2, vfs_rename, simple_rename.
Result<void> Vfs::rename(const Credentials& who, const Parent& from, const Parent& to, u32 flags) {
  bool exchange = flags & RENAME_EXCHANGE;
  if (!from.folder.ours() || !to.folder.ours()) return fail(EXDEV);
  if (from.folder.node->type != to.folder.node->type) return fail(EXDEV);
  if (from.last != Parent::Last::kName) return fail(EBUSY);
  if (to.last != Parent::Last::kName) return fail(flags & RENAME_NOREPLACE ? EEXIST : EBUSY);
  Found source = TRY(from.entry());
  auto target = to.entry();
  if (!target && target.error().value != ENOENT) return std::unexpected(target.error());
  if (target && (flags & RENAME_NOREPLACE)) return fail(EEXIST);
  if (!target && exchange) return fail(ENOENT);
  if (exchange && to.slash && !is_folder(*target)) return fail(ENOTDIR);
  if (!is_folder(source) && (from.slash || (!exchange && to.slash))) return fail(ENOTDIR);
  if (is_below(to.path(), source.path)) return fail(EINVAL);
  if (target && is_below(from.path(), target->path)) return fail(exchange ? EINVAL : ENOTEMPTY);
  if (target && target->node == source.node) return {};
  TRY(may_delete(who, from, is_folder(source)));
  if (target) {
    TRY(may_delete(who, to, exchange ? is_folder(*target) : is_folder(source)));
  } else {
    TRY(may_create(who, to, true));
  }
  Directory &source_folder = *from.folder.directory(), &target_folder = *to.folder.directory();
  if (!source_folder.writable() || !target_folder.writable()) return fail(EPERM);
  if (flags & RENAME_WHITEOUT) return fail(EINVAL);
  if (target && !exchange && is_folder(*target) && !target->directory()->empty()) return fail(ENOTEMPTY);
  source_folder.drop(from.name);
  if (exchange) source_folder.add(from.name, target->node);
  if (target && !exchange) target->node->links = is_folder(*target) ? 0 : target->node->links - 1;
  target_folder.add(to.name, source.node);
  touch(source_folder);
  touch(target_folder);
  touch(*source.node, false);
  return {};
}

}  // namespace bpfemu
