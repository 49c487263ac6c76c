// SPDX-License-Identifier: Apache-2.0
#include "loader/memory_worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "emu/base/fd.h"

namespace bpfemu {

namespace {

constexpr size_t kWorkerStack = 64 << 10;

Result<void> force_memory(pid_t tid, u64 address, const void* from, size_t size) {
  // Not kept open: there may be more processes than the supervisor may have descriptors.
  const UniqueFd mem(::open(fmt::format("/proc/{}/mem", tid).c_str(), O_RDWR | O_CLOEXEC));
  if (!mem) return fail(errno == ENOENT ? ESRCH : errno == EACCES ? EPERM : errno);
  const ssize_t n = ::pwrite(mem.get(), from, size, static_cast<off_t>(address));
  if (n < 0) return fail(errno);
  if (n != static_cast<ssize_t>(size)) return fail(EFAULT);
  return {};
}

Result<void> read_memory(pid_t tid, u64 address, void* to, size_t size) {
  iovec local{to, size}, remote{reinterpret_cast<void*>(address), size};
  ssize_t n = ::process_vm_readv(tid, &local, 1, &remote, 1, 0);
  int error = errno;
  if (n < 0 && error != EFAULT && error != ESRCH) {
    // Some containers deny the call but not the file.
    const UniqueFd mem(::open(fmt::format("/proc/{}/mem", tid).c_str(), O_RDONLY | O_CLOEXEC));
    if (mem) n = ::pread(mem.get(), to, size, static_cast<off_t>(address)), error = EFAULT;
  }
  if (n < 0) return fail(error == ESRCH || error == EPERM ? error : EFAULT);
  return n == static_cast<ssize_t>(size) ? Result<void>{} : fail(EFAULT);
}

Result<void> write_memory(pid_t tid, u64 address, const void* from, size_t size) {
  iovec local{const_cast<void*>(from), size}, remote{reinterpret_cast<void*>(address), size};
  const ssize_t n = ::process_vm_writev(tid, &local, 1, &remote, 1, 0);
  if (n == static_cast<ssize_t>(size)) return {};
  if (n < 0 && errno == ESRCH) return fail(ESRCH);
  if (n < 0 && errno != EFAULT) return force_memory(tid, address, from, size);
  return fail(EFAULT);
}

}  // namespace

Result<void> access_memory(pid_t tid, u64 address, void* bytes, size_t size, Access kind) {
  switch (kind) {
    case Access::kRead: return read_memory(tid, address, bytes, size);
    case Access::kWrite: return write_memory(tid, address, bytes, size);
    case Access::kForce: return force_memory(tid, address, bytes, size);
  }
  return fail(EINVAL);
}

struct MemoryWorker::Shared {
  int ready_fd;
  std::mutex mutex;
  std::condition_variable wanted;
  std::deque<std::shared_ptr<MemoryAccess>> accesses;
  u32 threads = 0, idle = 0;
  bool ending = false;
};

MemoryWorker::MemoryWorker(int ready_fd) : shared_(std::make_shared<Shared>()) {
  shared_->ready_fd = ready_fd;
}

MemoryWorker::~MemoryWorker() {
  const std::lock_guard lock(shared_->mutex);
  shared_->ending = true;
  shared_->wanted.notify_all();
}

bool MemoryWorker::start_thread() {
  sigset_t all, old;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);  // signals are for the tracer
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, kWorkerStack);
  pthread_t thread;
  auto held = std::make_unique<std::shared_ptr<Shared>>(shared_);
  const int error = ::pthread_create(&thread, &attributes, run, held.get());
  ::pthread_attr_destroy(&attributes);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (error) return false;
  (void)held.release();
  ++shared_->threads;
  return true;
}

Result<void> MemoryWorker::begin(std::shared_ptr<MemoryAccess> access) {
  const std::lock_guard lock(shared_->mutex);
  // With no thread more it waits for those before it.
  const bool served = shared_->idle > shared_->accesses.size() || start_thread() || shared_->threads > 0;
  if (!served) return fail(EAGAIN);
  shared_->accesses.push_back(std::move(access));
  shared_->wanted.notify_one();
  return {};
}

void* MemoryWorker::run(void* argument) {
  const std::unique_ptr<std::shared_ptr<Shared>> held(static_cast<std::shared_ptr<Shared>*>(argument));
  Shared& shared = **held;
  std::unique_lock lock(shared.mutex);
  for (;;) {
    ++shared.idle;
    shared.wanted.wait(lock, [&] { return shared.ending || !shared.accesses.empty(); });
    --shared.idle;
    if (shared.ending) return nullptr;
    const std::shared_ptr<MemoryAccess> access = shared.accesses.front();
    shared.accesses.pop_front();
    lock.unlock();
    const Result<void> result =
        access_memory(access->tid, access->address, access->bytes.data(), access->bytes.size(), access->kind);
    access->error = result ? 0 : result.error().value;
    access->done.store(true, std::memory_order_release);
    const u64 one = 1;
    (void)!::write(shared.ready_fd, &one, sizeof one);
    lock.lock();
  }
}

}  // namespace bpfemu
