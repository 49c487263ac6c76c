// SPDX-License-Identifier: Apache-2.0
#include "emu/vfs/namei.h"

#include <limits.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>

namespace bpfemu {

namespace {

constexpr u32 kMaxLinks = 40;  // kernel: MAXSYMLINKS

size_t slashes(std::string_view path) { return std::min(path.find_first_not_of('/'), path.size()); }

// A walk in progress. Where it is: `path_` ("" is the root) and the tree's node there, null for folders of the host in which
// nothing is ours.
class Walker {
 public:
  Walker(Vfs& vfs, HostTree& host, const Walk& walk) : vfs_(vfs), host_(host), walk_(walk), rest_(walk.text) {}
  Result<Found> whole();
  Result<Parent> parent();

 private:
  // What a step came to; kHost: the rest is the host's.
  enum class Step : u8 { kOn, kHost };

  Result<Step> begin();
  Result<Step> go(std::string_view part, bool last);
  Result<Step> up();
  Result<Step> enter(NodePtr node, std::string path);
  Result<Step> into_host(std::string path, bool follows);
  Result<Step> jump(const Found& to);
  Result<Step> follow(const std::string& target, bool ours);
  Result<Step> to_root();
  // What is wrong with the host's part is for the kernel to say.
  Result<Step> wrong(int error) const;

  std::string take();  // the next component, with the slashes before it
  bool at_end() const { return slashes(rest_) == rest_.size(); }
  bool ours() const { return node_ && !(folder() && folder()->overlay()); }
  Directory* folder() const {
    return node_ && node_->kind() == Node::Kind::kDirectory ? static_cast<Directory*>(node_.get()) : nullptr;
  }
  std::string shown() const { return path_.empty() ? "/" : path_; }
  Found here() const;

  Vfs& vfs_;
  HostTree& host_;
  const Walk& walk_;
  std::string rest_;
  std::string path_, base_;
  NodePtr node_;
  bool moved_ = false;    // the kernel could not go the same way
  bool crossed_ = false;  // from one mount to another, though RESOLVE_NO_XDEV says not to
  bool magic_ = false;
  u32 links_ = 0;
};

Found Walker::here() const {
  if (ours()) return {Found::Where::kOurs, node_, shown(), magic_};
  std::string path = path_ + (rest_.empty() || rest_[0] == '/' ? "" : "/") + rest_;
  return {moved_ ? Found::Where::kElsewhere : Found::Where::kHost, nullptr, path.empty() ? "/" : path};
}

Result<Walker::Step> Walker::wrong(int error) const {
  if (moved_ || ours()) return fail(error);
  return Step::kHost;
}

std::string Walker::take() {
  size_t from = slashes(rest_), to = std::min(rest_.find('/', from), rest_.size());
  std::string part = rest_.substr(from, to - from);
  rest_.erase(0, to);
  return part;
}

Result<Walker::Step> Walker::to_root() {
  if (walk_.resolve & RESOLVE_BENEATH) return wrong(EXDEV);
  path_ = walk_.resolve & RESOLVE_IN_ROOT ? base_ : std::string();
  node_ = vfs_.at(walk_.root + path_);
  return Step::kOn;
}

Result<Walker::Step> Walker::begin() {
  base_ = walk_.start.path == "/" ? std::string() : walk_.start.path;
  if (walk_.text.starts_with('/')) return to_root();
  path_ = base_;
  node_ = walk_.start.ours() ? walk_.start.node : vfs_.at(walk_.root + path_);
  moved_ = walk_.start.ours();
  return Step::kOn;
}

Result<Walker::Step> Walker::up() {
  bool limit = path_ == base_ && (walk_.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT));
  if (limit && (walk_.resolve & RESOLVE_BENEATH)) return wrong(EXDEV);
  if (limit || path_.empty()) return Step::kOn;
  std::string above = path_.substr(0, path_.rfind('/'));
  if (ours()) moved_ = true;
  return enter(vfs_.at(walk_.root + above), above);
}

Result<Walker::Step> Walker::enter(NodePtr node, std::string path) {
  crossed_ |= (walk_.resolve & RESOLVE_NO_XDEV) && vfs_.mount_of(path) != vfs_.mount_of(shown());
  bool was_ours = ours();
  node_ = std::move(node);
  path_ = std::move(path);
  if (crossed_ && (was_ours || ours())) return fail(EXDEV);
  return Step::kOn;
}

Result<Walker::Step> Walker::follow(const std::string& target, bool ours_link) {
  moved_ = moved_ || ours_link;
  if (++links_ > kMaxLinks || (walk_.resolve & RESOLVE_NO_SYMLINKS)) return wrong(ELOOP);
  if (target.empty()) return wrong(ENOENT);
  rest_.insert(0, target);
  if (rest_.size() > 4 * PATH_MAX) return wrong(ENAMETOOLONG);
  return target[0] == '/' ? to_root() : Step::kOn;
}

Result<Walker::Step> Walker::jump(const Found& to) {
  moved_ = moved_ || to.ours();
  if (++links_ > kMaxLinks || (walk_.resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS))) return wrong(ELOOP);
  if (walk_.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_XDEV)) return wrong(EXDEV);
  path_ = to.path == "/" ? std::string() : to.path;
  node_ = to.ours() ? to.node : vfs_.at(walk_.root + path_);
  return Step::kOn;
}

Result<Walker::Step> Walker::into_host(std::string path, bool follows) {
  HostEntry entry = host_.look(path);
  if (entry.kind == HostEntry::Kind::kNode) return enter(entry.jump.node, std::move(path));
  if (entry.kind == HostEntry::Kind::kLink && follows) return follow(entry.target, false);
  if (entry.kind == HostEntry::Kind::kJump && follows) return jump(entry.jump);
  if (entry.kind == HostEntry::Kind::kJump && entry.jump.ours()) {
    magic_ = true;
    return enter(std::make_shared<LinkNode>(entry.target, kProcfs), std::move(path));
  }
  TRY(enter(nullptr, std::move(path)));
  return entry.kind == HostEntry::Kind::kMissing ? Step::kHost : Step::kOn;
}

Result<Walker::Step> Walker::go(std::string_view part, bool last) {
  Directory* here_folder = folder();
  if (ours() && !here_folder) return fail(ENOTDIR);
  if (ours()) TRY(vfs_.permits(walk_.who, here(), X_OK));
  bool dots = part == "." || part == "..";
  // Only a folder of the host has them.
  if (dots && !node_ && !path_.empty() && host_.look(path_ + "/.").kind == HostEntry::Kind::kMissing) {
    rest_.insert(0, "/" + std::string(part));
    return Step::kHost;
  }
  if (part == ".") return Step::kOn;
  if (part == "..") return up();
  bool slash = last && !rest_.empty();
  bool follows = !last || walk_.follow || slash;
  if (here_folder) {
    if (ours() && part.size() > NAME_MAX) return fail(ENAMETOOLONG);
    if (ours() && slash && walk_.create) return fail(EISDIR);
    auto child = here_folder->child(part);
    bool missing = child ? !*child : child.error().value == ENOENT && !here_folder->overlay();
    if (missing) return fail(last && walk_.create && ours() ? EACCES : ENOENT);
    if (!child && !here_folder->overlay()) return std::unexpected(child.error());
    if (child && (*child)->kind() == Node::Kind::kLink && follows) {
      return follow(static_cast<LinkNode&>(**child).target(), true);
    }
    if (child) return enter(std::move(*child), path_ + "/" + std::string(part));
  }
  return into_host(path_ + "/" + std::string(part), follows);
}

Result<Found> Walker::whole() {
  if (TRY(begin()) == Step::kHost) return here();
  while (!at_end()) {
    std::string part = take();
    if (TRY(go(part, at_end())) == Step::kHost) return here();
  }
  if (ours() && !rest_.empty()) {
    if (walk_.create) return fail(EISDIR);
    if (!folder()) return fail(ENOTDIR);
  }
  return here();
}

Result<Parent> Walker::parent() {
  Parent parent;
  if (TRY(begin()) == Step::kHost) return Parent{.folder = here()};
  for (;;) {
    if (at_end()) {
      parent.last = Parent::Last::kRoot;
      break;
    }
    std::string part = take();
    if (at_end()) {
      if (ours() && !folder()) return fail(ENOTDIR);
      if (ours()) TRY(vfs_.permits(walk_.who, here(), X_OK));
      parent.slash = !rest_.empty();
      parent.last = part == "." ? Parent::Last::kDot : part == ".." ? Parent::Last::kDotDot : Parent::Last::kName;
      parent.name = std::move(part);
      break;
    }
    if (TRY(go(part, false)) == Step::kHost) return Parent{.folder = here(), .missing = true};
  }
  rest_.clear();
  parent.folder = here();
  parent.overlay = parent.folder.ours() ? nullptr : node_;
  return parent;
}

}  // namespace

Result<Found> look_up(Vfs& vfs, HostTree& host, const Walk& walk) {
  if (walk.text.empty()) return fail(ENOENT);
  return Walker(vfs, host, walk).whole();
}

Result<Parent> look_up_parent(Vfs& vfs, HostTree& host, const Walk& walk) {
  if (walk.text.empty()) return fail(ENOENT);
  return Walker(vfs, host, walk).parent();
}

}  // namespace bpfemu
