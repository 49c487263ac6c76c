// SPDX-License-Identifier: Apache-2.0
// A thread's memory and descriptors; remote_call.cc has its registers and stops.
#include "loader/task.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/base/fd.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr u64 kScratchPages = 16;
constexpr int kYields = 200;

std::string fd_path(pid_t tid, int fd) {
  return fmt::format("/proc/{}/fd/{}", tid, fd);
}

}  // namespace

TracedTask::TracedTask(TaskEnv& env, pid_t tid, std::shared_ptr<Process> process)
    : env_(env), tid_(tid), process_(std::move(process)), machine_{} {
  process_->threads.push_back(this);
}

TracedTask::~TracedTask() {
  if (scratch_page_) memory().scratch_free.push_back(scratch_page_);
  std::erase(process_->threads, this);
}

// Where a page may have to wait for somebody, only the thread that asked waits.
Result<void> TracedTask::wait_for_page(u64 address, void* bytes, size_t size, Access kind) {
  std::unique_ptr<MemoryWorker>& worker = memory().worker;
  if (!worker) worker = std::make_unique<MemoryWorker>(env_.memory_ready);
  auto access = std::make_shared<MemoryAccess>(tid_, address, kind);
  auto* const first = static_cast<u8*>(bytes);
  access->bytes.assign(first, first + size);
  TRY(worker->begin(access));
  const auto done = [&] { return access->done.load(std::memory_order_acquire); };
  for (int tries = 0; !done() && tries < kYields; ++tries) ::sched_yield();
  if (!done() && (!env_.sleep || env_.sleep(*this, done))) return fail(EFAULT);
  if (access->error) return fail(access->error);
  if (kind == Access::kRead) std::ranges::copy(access->bytes, first);
  return {};
}

Result<void> TracedTask::access(u64 address, void* bytes, size_t size, Access kind) {
  if (size == 0) return {};
  const auto once = [&] {
    return memory().may_wait ? wait_for_page(address, bytes, size, kind)
                             : access_memory(tid_, address, bytes, size, kind);
  };
  Result<void> result = once();
  if (!result && result.error().value == EPERM) result = borrow_dumpable() ? once() : fail(EFAULT);
  return result;
}

Result<void> TracedTask::read(u64 address, void* to, size_t size) {
  TRY(access(address, to, size, Access::kRead));
  env_.traps.mask(tid_, address, to, size);
  return {};
}

Result<void> TracedTask::write(u64 address, const void* from, size_t size) {
  return access(address, const_cast<void*>(from), size, Access::kWrite);
}

Result<void> TracedTask::force(u64 address, const void* from, size_t size) {
  return access(address, const_cast<void*>(from), size, Access::kForce);
}

Result<void> TracedTask::force_word(u64 address, u64 word) {
  TRY(env_.os.ptrace(PTRACE_POKEDATA, tid_, address, word));
  return {};
}

// Where we are not told (a process that made itself undumpable), programs see what reading gives, unless that may take long.
Result<void> TracedTask::require_resident(u64 address, size_t size, Access kind) {
  const u64 space = memory().id;
  const Result<void> resident = kind == Access::kRead
                                    ? env_.page_maps.require(space, tid_, address, size)
                                    : env_.page_maps.require_writable(space, tid_, address, size);
  if (resident || resident.error().value == EFAULT) return resident;
  return memory().may_wait ? fail(EFAULT) : Result<void>{};
}

Result<void> TracedTask::peek(u64 address, void* to, size_t size) {
  TRY(require_resident(address, size, Access::kRead));
  return read(address, to, size);
}

Result<void> TracedTask::poke(u64 address, const void* from, size_t size) {
  TRY(require_resident(address, size, Access::kWrite));
  return write(address, from, size);
}

Result<std::string> TracedTask::read_string(u64 address, size_t limit) {
  std::string text;
  char chunk[kPage];
  while (text.size() < limit) {
    const u64 at = address + text.size();
    // Never across a page in one go: the string may end just before an unmapped one.
    const size_t size = std::min<u64>({kPage - at % kPage, limit - text.size(), 256});
    TRY(read(at, chunk, size));
    const size_t length = ::strnlen(chunk, size);
    text.append(chunk, length);
    if (length < size) return text;
  }
  return fail(ENAMETOOLONG);
}

Result<FileId> TracedTask::file_id(int fd) {
  if (fd < 0) return fail(EBADF);
  // What the kernel knows by itself: a FUSE server that is asked may be waiting for us.
  struct statx known;
  if (::statx(AT_FDCWD, fd_path(tid_, fd).c_str(), AT_STATX_DONT_SYNC, STATX_INO, &known) == 0)
    return FileId{makedev(known.stx_dev_major, known.stx_dev_minor), known.stx_ino};
  if (errno == ENOENT) return fail(EBADF);
  struct stat st;
  // A thread whose /proc we may not look into (it made itself undumpable) can still be asked.
  const u64 at = TRY(scratch(sizeof st));
  TRY(call(SYS_fstat, {static_cast<u64>(fd), at}));
  TRY(read(at, &st, sizeof st));
  return FileId{st.st_dev, st.st_ino};
}

Result<int> TracedTask::reopen_fd(int fd, int flags) {
  if (fd < 0) return fail(EBADF);
  const int own = ::open(fd_path(tid_, fd).c_str(), flags | O_CLOEXEC);
  if (own < 0) return fail(errno == ENOENT ? EBADF : errno);
  return own;
}

namespace {

// A message of one byte that carries a descriptor, as it lies at `address` of the sender.
struct DescriptorMessage {
  DescriptorMessage(u64 address, int fd) {
    part = {reinterpret_cast<void*>(address + offsetof(DescriptorMessage, byte)), 1};
    header.msg_iov = reinterpret_cast<iovec*>(address + offsetof(DescriptorMessage, part));
    header.msg_iovlen = 1;
    header.msg_control = reinterpret_cast<void*>(address + offsetof(DescriptorMessage, control));
    header.msg_controllen = sizeof control;
    const u64 head[] = {CMSG_LEN(sizeof fd), u64{SCM_RIGHTS} << 32 | SOL_SOCKET};  // struct cmsghdr
    std::memcpy(control, head, sizeof head);
    std::memcpy(control + CMSG_LEN(0), &fd, sizeof fd);
  }
  int fd() const { return load<int>(reinterpret_cast<const u8*>(control) + CMSG_LEN(0)); }

  msghdr header = {};
  iovec part;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  char byte = 0;
};

// The kernel gives it to a tracer, of Linux 5.6 or later, where no outer filter is in the way. Before Linux 6.9 it knows
// the descriptors of leaders alone, which most threads share.
Result<int> fetch_fd(pid_t tid, pid_t tgid, int fd) {
  constexpr unsigned kPidfdThread = O_EXCL;
  constexpr int kKcmpFiles = 2;
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, tid, tid == tgid ? 0 : kPidfdThread)));
  if (!process && tid != tgid && ::syscall(SYS_kcmp, tid, tgid, kKcmpFiles, 0, 0) == 0)
    process.reset(static_cast<int>(::syscall(SYS_pidfd_open, tgid, 0)));
  if (!process) return fail(errno);
  const long fetched = ::syscall(SYS_pidfd_getfd, process.get(), fd, 0);
  if (fetched < 0) return fail(errno);
  return static_cast<int>(fetched);
}

}  // namespace

// Otherwise it comes over a socket that exists for this alone.
Result<int> TracedTask::share_fd(int fd) {
  if (fd < 0) return fail(EBADF);
  const Result<int> fetched = fetch_fd(tid_, tgid(), fd);
  if (fetched || fetched.error().value == EBADF) return fetched;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) return fail(errno);
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const int there = TRY(install_fd(theirs.get(), true));
  const Result<u64> at = scratch(sizeof(DescriptorMessage));
  const DescriptorMessage message(at.value_or(0), fd);
  Result<u64> sent = at;
  if (at && !write(*at, &message, sizeof message)) sent = fail(EFAULT);
  if (sent) sent = call(SYS_sendmsg, {static_cast<u64>(there), *at, MSG_NOSIGNAL});
  (void)call(SYS_close, {static_cast<u64>(there)});
  if (!sent) return fail(sent.error().value);
  DescriptorMessage received(0, -1);
  received.part.iov_base = &received.byte;
  received.header.msg_iov = &received.part;
  received.header.msg_control = received.control;
  if (::recvmsg(ours.get(), &received.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1) return fail(errno);
  if (received.header.msg_controllen < CMSG_LEN(sizeof(int))) return fail(EBADF);
  return received.fd();
}

long TracedTask::call_number() {
  const long number = Task::call_number();
  return number == SYS_clone && pending && pending->as_clone ? SYS_clone3 : number;
}

// Each thread has a page of its own: another thread's handler may run before the kernel has read what is in it.
Result<u64> TracedTask::scratch(size_t size) {
  if (size > kPage) return fail(EINVAL);
  if (scratch_page_) return scratch_page_;
  Memory& memory = this->memory();
  if (memory.scratch_free.empty()) {
    const u64 base = TRY(
        call(SYS_mmap, {0, kScratchPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~u64{0}, 0}));
    for (u64 page = kScratchPages; page-- > 0;) {
      memory.scratch_pages.push_back(base + page * kPage);
      memory.scratch_free.push_back(base + page * kPage);
    }
  }
  scratch_page_ = memory.scratch_free.back();
  memory.scratch_free.pop_back();
  return scratch_page_;
}

Result<u32> TracedTask::rseq_cpu() {
  if (rseq_cpu_ && at_ != At::kRunning) return *rseq_cpu_;
  if (!rseq_ || *rseq_ == 0) {
    __ptrace_rseq_configuration rseq = {};
    TRY(env_.os.ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid_, sizeof rseq, reinterpret_cast<u64>(&rseq)));
    rseq_ = rseq.rseq_abi_pointer;
  }
  if (*rseq_ == 0) return fail(ENODATA);
  // struct rseq: cpu_id_start, cpu_id.
  u32 cpus[2];
  TRY(read(*rseq_, cpus, sizeof cpus));
  return *(rseq_cpu_ = cpus[1]);
}

}  // namespace bpfemu
