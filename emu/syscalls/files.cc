// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/files.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>

namespace bpfemu {

namespace {

constexpr int kSignalPipeSize = 4096;     // the least a pipe can hold: carriers are many, each costs one page

}  // namespace

// The supervisor's half of a carrier: the write end, and whether a byte is in the pipe.
struct Files::Carrier {
  FileId id;
  UniqueFd write_end;
  std::shared_ptr<File> file;
  bool signalled = false;
  bool conditional = false;
  UniqueFd held;  // the very description that the tracee has, while it is mapped
};

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

Files::Files() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

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
  carriers_[carrier->id] = std::move(carrier);
  if (installed) installed(task, installed_file);
  return number;
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

void Files::reap() {
  while (!carriers_.empty()) {
    epoll_event events[16];
    int count = epoll_wait(epoll_.get(), events, std::size(events), 0);
    if (count <= 0) return;
    // Files are destroyed after the registry forgot them all: a destructor may come back here.
    std::vector<std::unique_ptr<Carrier>> gone;
    for (int i = 0; i < count; ++i) {
      auto* carrier = static_cast<Carrier*>(events[i].data.ptr);
      by_file_.erase(carrier->file.get());
      std::erase_if(by_ring_, [&](auto& entry) { return entry.second == carrier; });
      std::erase(signalled_, carrier);
      conditional_ -= carrier->conditional;
      auto it = carriers_.find(carrier->id);
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, carrier->write_end.get(), nullptr);
      gone.push_back(std::move(it->second));
      carriers_.erase(it);
    }
  }
}

}  // namespace bpfemu
