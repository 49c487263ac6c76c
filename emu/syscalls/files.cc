// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/files.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include <algorithm>

#include "emu/syscalls/node_file.h"

namespace bpfemu {

namespace {

constexpr int kSignalPipeSize = 4096;     // the least a pipe can hold: carriers are many, each costs one page

}  // namespace

// The supervisor's half of a carrier: the write end, and whether a byte is in the pipe; or how inotify calls it.
struct Files::Carrier {
  FileId id;
  UniqueFd write_end = {};
  std::shared_ptr<File> file;
  int watch = -1;
  bool signalled = false;
  bool conditional = false;
  UniqueFd held = {};  // the very description that the tracee has, while it is mapped
};

std::vector<TraceWhen> File::stops() const {
  std::vector<TraceWhen> when{TraceWhen::kHolders, TraceWhen::kOpeners, TraceWhen::kObjects};
  if (pollable()) when.push_back(TraceWhen::kRings);
  if (is_read()) when.push_back(TraceWhen::kReaders);
  return when;
}

// An anonymous inode, as those of bpf() and perf_event_open() are: the host's own is shown.
void File::stat(struct stat& st) const {
  UniqueFd anonymous(epoll_create1(EPOLL_CLOEXEC));
  st = {};
  if (anonymous) fstat(anonymous.get(), &st);
}

u32 File::poll() {
  constexpr u32 always = EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
  if (!can_poll()) return always;
  return readable() ? condition() | EPOLLIN | EPOLLRDNORM : condition();
}

Files::Files() : epoll_(epoll_create1(EPOLL_CLOEXEC)), inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (inotify_) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, inotify_.get(), &event);
}

Files::~Files() = default;

Result<int> Files::install(Task& task, std::shared_ptr<File> file, bool cloexec) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail(errno);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  fcntl(read_end.get(), F_SETPIPE_SZ, kSignalPipeSize);
  fcntl(write_end.get(), F_SETFL, O_NONBLOCK);
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);  // a tool's stray read must not block

  struct stat st;
  if (fstat(read_end.get(), &st) != 0) return fail(errno);
  auto carrier = std::make_unique<Carrier>(FileId{st.st_dev, st.st_ino}, std::move(write_end), std::move(file));
  int number = TRY(task.install_fd(read_end.get(), cloexec));
  read_end.reset();

  epoll_event event{.events = 0, .data = {.ptr = carrier.get()}};  // EPOLLERR comes unasked
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, carrier->write_end.get(), &event) != 0) return fail(errno);
  by_file_[carrier->file.get()] = carrier.get();
  if (const void* ring = carrier->file->ring()) by_ring_.emplace(ring, carrier.get());
  File& installed_file = *carrier->file;
  const FileId id = carrier->id;
  carriers_[id] = std::move(carrier);
  if (installed) installed(task, id, installed_file);
  return number;
}

Result<int> Files::install_native(Task& task, std::shared_ptr<File> file, int fd, bool cloexec) {
  struct stat st;
  if (fstat(fd, &st) != 0) return fail(errno);
  int number = TRY(task.install_fd(fd, cloexec));
  enroll(task, FileId{st.st_dev, st.st_ino}, "/proc/self/fd/" + std::to_string(fd), std::move(file));
  return number;
}

// A carrier has no name, so its inode goes with the last descriptor and the last task that is in it, and inotify reports
// that as IN_DELETE_SELF. Without inotify what is remembered stays.
void Files::enroll(Task& task, FileId id, const std::string& path, std::shared_ptr<File> file) {
  auto& carrier = carriers_[id];
  if (!carrier) {
    carrier = std::make_unique<Carrier>(Carrier{.id = id, .file = std::move(file)});
    bool magic = path.starts_with("/proc/");
    carrier->watch = inotify_add_watch(inotify_.get(), path.c_str(), IN_DELETE_SELF | (magic ? 0 : IN_DONT_FOLLOW));
    if (carrier->watch >= 0) by_watch_[carrier->watch] = carrier.get();
    if (carrier->file->directory()) ++folders_;
  }
  if (installed) installed(task, id, *carrier->file);
}

Result<std::shared_ptr<File>> Files::find(Task& task, int fd) { return find(TRY(task.file_id(fd))); }

std::shared_ptr<File> Files::find(FileId id) const {
  auto it = carriers_.find(id);
  return it == carriers_.end() ? nullptr : it->second->file;
}

std::shared_ptr<File> Files::ours(Task& task, int fd) {
  if (carriers_.empty()) return nullptr;
  auto file = find(task, fd);
  return file ? *file : nullptr;
}

void Files::signal(File& file) {
  auto it = by_file_.find(&file);
  if (it == by_file_.end()) return;
  Carrier& carrier = *it->second;
  // Every write is a fresh edge under EPOLLET, so one is made each time; a full pipe is readable already.
  char byte = 0;
  if (write(carrier.write_end.get(), &byte, 1) != 1) {
    drain(carrier);
    if (write(carrier.write_end.get(), &byte, 1) != 1) return;
  }
  if (!carrier.signalled) signalled_.push_back(&carrier);
  carrier.signalled = true;
}

void Files::watch(File& file, const void* ring) {
  auto it = by_file_.find(&file);
  if (it == by_file_.end()) return;
  std::erase_if(by_ring_, [&](auto& entry) { return entry.second == it->second; });
  if (ring) by_ring_.emplace(ring, it->second);
}

void Files::wake(const void* ring) {
  auto [first, last] = by_ring_.equal_range(ring);
  for (; first != last; ++first) signal(*first->second->file);
}

void Files::for_each(const std::function<void(File&)>& visit) const {
  for (auto& [id, carrier] : carriers_) visit(*carrier->file);
}

void Files::drain(File& file) {
  auto it = by_file_.find(&file);
  if (it == by_file_.end() || !it->second->signalled) return;
  drain(*it->second);
  std::erase(signalled_, it->second);
}

// Empties the pipe through a read end that exists for a moment only: while we held one, the last copy's going would
// not show.
void Files::drain(Carrier& carrier) {
  std::string path = "/proc/self/fd/" + std::to_string(carrier.write_end.get());
  UniqueFd read_end(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  char bytes[kSignalPipeSize];
  while (read_end && read(read_end.get(), bytes, sizeof bytes) > 0) {
  }
  carrier.signalled = false;
}

void Files::quiet(File& file) {
  drain(file);
  auto [first, last] = by_ring_.equal_range(file.ring());
  for (; first != last; ++first) drain(*first->second->file);
}

bool Files::any_reports_once() const {
  return std::ranges::any_of(by_ring_, [](auto& entry) { return entry.second->file->reports_once(); });
}

std::vector<std::shared_ptr<File>> Files::signalled_once() const {
  std::vector<std::shared_ptr<File>> found;
  for (const Carrier* carrier : signalled_) {
    if (carrier->file->reports_once()) found.push_back(carrier->file);
  }
  return found;
}

void Files::remember_condition(File& file) {
  auto it = by_file_.find(&file);
  if (it != by_file_.end() && !std::exchange(it->second->conditional, true)) ++conditional_;
}

void Files::hold(Task& task, int fd, File& file) {
  auto it = by_file_.find(&file);
  if (it == by_file_.end() || it->second->held) return;
  if (auto shared = task.share_fd(fd)) it->second->held.reset(*shared);
}

void Files::release_unmapped(const std::function<bool(Extent)>& mapped) {
  for (auto& [id, carrier] : carriers_) {
    if (carrier->held && !mapped(carrier->file->mapping())) carrier->held.reset();
  }
  many_held_ = std::max(kFewHeld, 2 * held());
}

bool Files::holds(File& file) const {
  auto it = by_file_.find(&file);
  return it != by_file_.end() && it->second->held;
}

size_t Files::held() const {
  return static_cast<size_t>(
      std::ranges::count_if(carriers_, [](auto& entry) { return static_cast<bool>(entry.second->held); }));
}

void Files::settle() {
  std::erase_if(signalled_, [this](Carrier* carrier) {
    if (!carrier->file->pollable() || carrier->file->readable()) return false;
    drain(*carrier);
    return true;
  });
}

void Files::moved(const std::string& from, const std::string& to) {
  for (auto& [id, carrier] : carriers_) {
    if (NodeFile* node = carrier->file->node()) node->moved(from, to);
  }
}

// The carriers whose last copy is gone.
std::vector<Files::Carrier*> Files::ended() {
  std::vector<Carrier*> ended;
  epoll_event events[16];
  int count = epoll_wait(epoll_.get(), events, std::size(events), 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.ptr) ended.push_back(static_cast<Carrier*>(events[i].data.ptr));
  }
  if (by_watch_.empty()) return ended;
  alignas(inotify_event) char buffer[4096];
  ssize_t size = read(inotify_.get(), buffer, sizeof buffer);
  for (ssize_t at = 0; at < size;) {
    auto* event = reinterpret_cast<inotify_event*>(buffer + at);
    auto it = by_watch_.find(event->wd);
    if ((event->mask & IN_DELETE_SELF) && it != by_watch_.end()) ended.push_back(it->second);
    at += static_cast<ssize_t>(sizeof *event + event->len);
  }
  return ended;
}

void Files::forget(Carrier& carrier) {
  ended_carrier(carrier.id);
  by_file_.erase(carrier.file.get());
  std::erase_if(by_ring_, [&](auto& entry) { return entry.second == &carrier; });
  std::erase(signalled_, &carrier);
  conditional_ -= carrier.conditional;
  if (carrier.write_end) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, carrier.write_end.get(), nullptr);
  if (carrier.watch >= 0) by_watch_.erase(carrier.watch);
  if (carrier.file->directory()) --folders_;
}

void Files::reap() {
  while (!carriers_.empty()) {
    // Files are destroyed after the registry forgot them all: a destructor may come back here.
    std::vector<std::unique_ptr<Carrier>> gone;
    for (Carrier* carrier : ended()) {
      forget(*carrier);
      auto it = carriers_.find(carrier->id);
      gone.push_back(std::move(it->second));
      carriers_.erase(it);
    }
    if (gone.empty()) return;
  }
}

}  // namespace bpfemu
