// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/ports.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace bpfemu::fakes {

FakeTask::FakeTask(pid_t tid, pid_t tgid) : tid_(tid ? tid : getpid()), tgid_(tgid ? tgid : tid_) {}

// The kernel checks the pages for us: a bad address gives a short count instead of a fault.
Result<void> FakeTask::read(u64 address, void* to, size_t size) {
  if (dead_) return fail(ESRCH);
  if (size == 0) return {};
  iovec local{to, size}, remote{reinterpret_cast<void*>(address), size};
  if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != static_cast<ssize_t>(size)) return fail(EFAULT);
  return {};
}

Result<void> FakeTask::write(u64 address, const void* from, size_t size) {
  if (dead_) return fail(ESRCH);
  if (size == 0) return {};
  iovec local{const_cast<void*>(from), size}, remote{reinterpret_cast<void*>(address), size};
  if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != static_cast<ssize_t>(size)) return fail(EFAULT);
  return {};
}

Result<std::string> FakeTask::read_string(u64 address, size_t limit) {
  constexpr u64 kPage = 4096;
  std::string text;
  while (text.size() < limit) {
    char chunk[256];
    const u64 at = address + text.size();
    // Never across a page in one go: the string may end just before an unmapped one.
    const size_t size = std::min<u64>({kPage - at % kPage, limit - text.size(), sizeof chunk});
    TRY(read(at, chunk, size));
    const size_t length = strnlen(chunk, size);
    text.append(chunk, length);
    if (length < size) return text;
  }
  return fail(ENAMETOOLONG);
}

Result<u64> FakeTask::call(long number, std::array<u64, 6> args) {
  if (dead_) return fail(ESRCH);
  long r = ::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
  if (r == -1) return fail(errno);
  return static_cast<u64>(r);
}

Result<int> FakeTask::install_fd(int fd, bool cloexec) {
  if (dead_) return fail(ESRCH);
  int copy = fcntl(fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
  if (copy < 0) return fail(errno);
  return copy;
}

Result<u64> FakeTask::map_file(int fd, std::span<const FilePiece> pieces) {
  Result<u64> first = fail(EINVAL);
  for (const FilePiece& piece : pieces) {
    auto mapped = call(SYS_mmap, {piece.address, piece.size, piece.prot, piece.flags, u64(fd), piece.offset});
    if (&piece == pieces.data() || !mapped) first = mapped;
    if (!mapped) break;
  }
  return first;
}

Result<FileId> FakeTask::file_id(int fd) {
  if (dead_) return fail(ESRCH);
  struct stat st;
  if (fstat(fd, &st) != 0) return fail(errno);
  return FileId{st.st_dev, st.st_ino};
}

Result<int> FakeTask::reopen_fd(int fd, int flags) {
  if (dead_) return fail(ESRCH);
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  int copy = open(path.c_str(), flags | O_CLOEXEC);
  if (copy < 0) return fail(errno == ENOENT ? EBADF : errno);
  return copy;
}

Result<int> FakeTask::share_fd(int fd) {
  if (dead_) return fail(ESRCH);
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return fail(EBADF);
  return copy;
}

Result<u64> FakeTask::scratch(size_t size) {
  if (dead_) return fail(ESRCH);
  if (size > scratch_.size()) return fail(ENOMEM);
  return reinterpret_cast<u64>(scratch_.data());
}

void FakeHost::want_syscalls(const SyscallSet& new_entry, const SyscallSet& new_exit) {
  entry = new_entry;
  exit = new_exit;
}

u64 FakeHost::clock(int) { return now_; }

Host::TimerId FakeHost::add_timer(u64 period_ns, std::function<void()> fire) {
  timers_[++last_timer_] = {period_ns, now_ + period_ns, std::move(fire)};
  return last_timer_;
}

void FakeHost::cancel_timer(TimerId id) { timers_.erase(id); }

void FakeHost::advance(u64 ns) {
  u64 end = now_ + ns;
  for (;;) {
    auto next = std::min_element(timers_.begin(), timers_.end(),
                                 [](auto& a, auto& b) { return a.second.due < b.second.due; });
    if (next == timers_.end() || next->second.due > end) break;
    now_ = next->second.due;
    next->second.due += next->second.period;
    auto fire = next->second.fire;  // may cancel its own timer
    fire();
  }
  now_ = end;
}

Task* FakeHost::find_task(pid_t tid) {
  auto it = tasks.find(tid);
  return it == tasks.end() ? nullptr : it->second;
}

Result<TaskFacts> FakeHost::facts(pid_t tid) {
  auto it = task_facts.find(tid);
  if (it != task_facts.end()) return it->second;
  if (!tasks.contains(tid)) return fail(ESRCH);
  TaskFacts facts;
  facts.tid = facts.tgid = tid;
  std::strcpy(facts.comm, "fake");
  return facts;
}

std::vector<pid_t> FakeHost::thread_groups() {
  std::set<pid_t> groups;
  for (auto& [tid, task] : tasks) groups.insert(task->tgid());
  return {groups.begin(), groups.end()};
}

std::vector<pid_t> FakeHost::threads() {
  std::vector<pid_t> tids;
  for (auto& [tid, task] : tasks) tids.push_back(tid);
  return tids;
}

Result<TaskUsage> FakeHost::usage(pid_t tid) {
  if (!tasks.contains(tid)) return fail(ESRCH);
  return used[tid];
}

std::vector<pid_t> FakeHost::running(int cpu) {
  std::vector<pid_t> tids;
  for (auto& [tid, where] : on_cpu) {
    if (cpu < 0 || where == cpu) tids.push_back(tid);
  }
  return tids;
}

void FakeHost::at_stop(pid_t tid, std::function<void(Task&)> call) {
  if (Task* task = find_task(tid)) call(*task);
}

Result<Sites::Id> FakeSites::add(const UserPlace& place) {
  for (auto& [id, site] : sites) {
    if (site.place.file != place.file || site.place.offset != place.offset) continue;
    if (site.place.ref_ctr_offset != place.ref_ctr_offset) return fail(EINVAL);
    ++site.uses;
    return id;
  }
  sites[++last_] = {place, 1, 0, 0};
  return last_;
}

void FakeSites::drop(Id id) {
  auto it = sites.find(id);
  if (it != sites.end() && --it->second.uses == 0) sites.erase(it);
}

Result<void> FakeSites::apply(Id id) {
  if (refuse) return fail(refuse);
  ++sites.at(id).applied;
  return {};
}

void FakeSites::withdraw(Id id) { ++sites.at(id).withdrawn; }

Result<void> FakeSites::on_return(Task&, Id, u64 cookie) {
  returns.push_back(cookie);
  return {};
}

}  // namespace bpfemu::fakes
