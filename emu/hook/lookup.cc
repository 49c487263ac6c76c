// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/lookup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace bpfemu {

namespace {

constexpr u32 kMostLinks = 40;  // kernel: MAXSYMLINKS

bool is_served(Mounts& mounts, int fd) {
  const auto facts = mounts.describe(::getpid(), fd);
  return !facts || facts->mount->served();
}

// Without asking who serves it.
bool look(int fd, struct statx& st) {
  return ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) == 0;
}

u64 device_of(const struct statx& st) {
  return u64{st.stx_dev_major} << 32 | st.stx_dev_minor;
}

bool same_file(const struct statx& a, const struct statx& b) {
  return device_of(a) == device_of(b) && a.stx_ino == b.stx_ino;
}

// File systems whose names that lead nowhere are not remembered (kernel: always_delete_dentry and its like).
bool forgets_missing(std::string_view type) {
  constexpr std::string_view kForgetful[] = {"tmpfs", "devtmpfs", "ramfs", "proc", "sysfs", "devpts"};
  return std::ranges::find(kForgetful, type) != std::end(kForgetful);
}

std::optional<FileFacts> facts_of(Occasion& on, const std::shared_ptr<UniqueFd>& file) {
  if (!file) return std::nullopt;
  auto facts = on.services().mounts.describe(::getpid(), file->get());
  return facts ? std::optional(std::move(*facts)) : std::nullopt;
}

}  // namespace

Lookup::Lookup(Occasion& on, u64 folder, u64 user, Last last) : on_(on), from_(folder) {
  auto path = on.task().read_string(user, PATH_MAX);
  if (!path || path->empty()) return;
  named_ = true;
  path_ = std::move(*path);
  walk(folder, last);
}

Lookup::Lookup(Occasion& on, std::string path)
    : on_(on), path_(std::move(path)), from_(kHere), named_(!path_.empty()) {
  if (named_) walk(kHere, Last::kFollow);
}

Lookup::Folder Lookup::root() const {
  return std::make_shared<UniqueFd>(
      ::open(fmt::format("/proc/{}/root", on_.task().tid()).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

Lookup::Folder Lookup::open_below(const Folder& folder, const char* name, int flags) const {
  return std::make_shared<UniqueFd>(::openat(folder->get(), name, O_PATH | O_CLOEXEC | flags));
}

bool Lookup::start(Folder& at, u64 folder) {
  const pid_t tid = on_.task().tid();
  if (path_.starts_with('/')) {
    at = root();
  } else {
    const int fd = static_cast<int>(folder);
    const std::string from = fd == AT_FDCWD ? fmt::format("/proc/{}/cwd", tid) : fmt::format("/proc/{}/fd/{}", tid, fd);
    at = std::make_shared<UniqueFd>(::open(from.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  return static_cast<bool>(*at);
}

// Goes on with what the link says. Null: the link is no text but leads on by itself, or nowhere.
Lookup::Folder Lookup::follow(const Folder& folder, const std::string& name, const Folder& link) {
  if (++links_ > kMostLinks) return nullptr;
  char text[PATH_MAX];
  const ssize_t n = ::readlinkat(link->get(), "", text, sizeof text);
  if (n <= 0) return nullptr;
  std::string target(text, static_cast<size_t>(n));
  const auto facts = on_.services().mounts.describe(::getpid(), link->get());
  if (facts && facts->mount->magic == PROC_SUPER_MAGIC) {
    // Whoever reads /proc/self is meant.
    if (name == "self")
      target = fmt::format("{}", on_.task().tgid());
    else if (name == "thread-self")
      target = fmt::format("{}/task/{}", on_.task().tgid(), on_.task().tid());
    else if (facts->path.find('/', 1) != std::string::npos)
      return open_below(folder, name.c_str(), 0);
  }
  behind_links_.push_back(rest_.size() + 1);
  rest_ = target + "/" + rest_;
  return target.starts_with('/') ? root() : folder;
}

void Lookup::walk(u64 folder, Last last) {
  Folder at;
  if (!start(at, folder)) return;
  rest_ = path_;
  u64 device = ~u64{0};
  while (true) {
    const size_t begin = rest_.find_first_not_of('/');
    if (begin == rest_.npos) break;
    const size_t end = std::min(rest_.find('/', begin), rest_.size());
    const std::string name = rest_.substr(begin, end - begin);
    // The kernel's name is a place in the text of the path, or of the link that it came from.
    while (!behind_links_.empty() && rest_.size() - begin <= behind_links_.back()) behind_links_.pop_back();
    const std::string text = rest_.substr(begin, rest_.size() - begin - (behind_links_.empty() ? 0 : behind_links_.back()));
    rest_.erase(0, end);
    const bool is_last = rest_.find_first_not_of('/') == rest_.npos;
    struct statx here, top;
    if (!look(at->get(), here)) return;
    if (device_of(here) != device && is_served(on_.services().mounts, at->get())) return;
    device = device_of(here);
    last_.clear();
    if (name == "." || name == "..") {
      const Folder above = root();
      const bool stays = name == "." || (look(above->get(), top) && same_file(here, top));
      if (!stays) at = open_below(at, "..", O_DIRECTORY);
      if (!*at) return;
      continue;
    }
    Folder next = open_below(at, name.c_str(), O_NOFOLLOW);
    const int error = *next ? 0 : errno;
    const bool found = error == 0;
    steps_.push_back({at, name, text, found});
    if (!found) {
      if (is_last) last_ = name;
      if (is_last && error == ENOENT) folder_ = at;
      return;
    }
    struct statx st;
    if (!look(next->get(), st)) return;
    const bool behind = !is_last || last == Last::kFollow || !rest_.empty();
    if (S_ISLNK(st.stx_mode) && behind) {
      if (is_last) rest_.clear();
      at = follow(at, name, next);
      if (!at || !*at) return;
      continue;
    }
    if (is_last) {
      last_ = name;
      folder_ = at;
    }
    at = next;
  }
  target_ = at;
}

const FileFacts* Lookup::target() {
  if (!target_facts_) target_facts_ = facts_of(on_, target_);
  return target_facts_ ? &*target_facts_ : nullptr;
}

const FileFacts* Lookup::folder() {
  if (!folder_facts_) folder_facts_ = facts_of(on_, folder_);
  return folder_facts_ ? &*folder_facts_ : nullptr;
}

void Lookup::look_again() {
  if (!has_last()) return;
  const Folder now = open_below(folder_, last_.c_str(), O_NOFOLLOW);
  target_ = *now ? now : nullptr;
  target_facts_.reset();
  (void)target_dentry();
}

u64 Lookup::target_dentry() {
  FileObjects& files = on_.services().files;
  if (const FileFacts* file = target()) return files.dentry(*file).address();
  const FileFacts* in = folder();
  return in ? files.negative_dentry(*in, last_).address() : 0;
}

u64 Lookup::target_inode() {
  const FileFacts* file = target();
  return file ? on_.services().files.inode(*file).address() : 0;
}

u64 Lookup::folder_inode() {
  const FileFacts* in = folder();
  return in ? on_.services().files.inode(*in).address() : 0;
}

u64 Lookup::path_of(const FileFacts* file) {
  const KernelObject path = file ? local(on_, "path") : KernelObject();
  if (path) on_.services().files.set_path(path, "mnt", "dentry", *file);
  return path.address();
}

u64 Lookup::dentry_of(const Step& step, bool& cached) {
  FileObjects& files = on_.services().files;
  const auto in = facts_of(on_, step.folder);
  cached = step.exists;
  if (!in) return 0;
  if (!step.exists) {
    const KernelObject dentry = files.negative_dentry(*in, step.name, &cached);
    cached = cached && !forgets_missing(in->mount->type);
    return dentry.address();
  }
  const auto file = facts_of(on_, open_below(step.folder, step.name.c_str(), O_NOFOLLOW));
  return file ? files.dentry(*file).address() : 0;
}

KernelObject Lookup::nameidata(const Step& step) {
  ObjectSpace& space = on_.services().objects;
  const KernelObject nd = space.object(space.structure("nameidata"), fmt::format("{}", on_.task().tid()));
  nd.set("last.name", space.text(step.text));
  nd.set("last.len", static_cast<u32>(step.name.size()));
  if (const auto in = facts_of(on_, step.folder)) {
    on_.services().files.set_path(nd, "path.mnt", "path.dentry", *in);
    nd.set("inode", on_.services().files.inode(*in).address());
  }
  return nd;
}

bool Lookup::pass_names(bool with_last) {
  if (!on_.awaited(Hook::lookup_fast) && !on_.awaited(Hook::d_lookup)) return false;
  bool missed = false;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const bool is_last = i + 1 == steps_.size() && (step.name == last_ || !step.exists);
    if (is_last && !with_last) break;
    const Passing lookup_fast =
        on_.enter(Hook::lookup_fast, [&](Arguments& a) { a.lazily(0, [&] { return nameidata(step).address(); }); });
    bool cached = false;
    const u64 dentry = dentry_of(step, cached);
    lookup_fast.leave(cached ? static_cast<s64>(dentry) : 0);
    missed = is_last && !cached;
  }
  return missed;
}

void Lookup::pass_last(bool missed) {
  if (steps_.empty() || !on_.awaited(Hook::d_lookup)) return;
  const Step& step = steps_.back();
  const Passing d_lookup = on_.enter(Hook::d_lookup, [&](Arguments& a) {
    a.lazily(0, [&] {
      const auto in = facts_of(on_, step.folder);
      return in ? on_.services().files.dentry(*in).address() : u64{0};
    });
    a.lazily(1, [&] { return nameidata(step).address("last"); });
  });
  bool cached = false;
  const u64 dentry = dentry_of(step, cached);
  d_lookup.leave(cached && !missed ? static_cast<s64>(dentry) : 0);
}

}  // namespace bpfemu
